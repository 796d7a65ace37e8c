// How vessels look: colours that colour-blind eyes tell apart (Okabe and Ito), letters, and lines by their state.

const LOOKS = {
  aorta_ascending: ["AA", "#e69f00"],
  aorta_arch: ["AR", "#d55e00"],
  aorta_descending: ["DA", "#5aa2ff"],
  carotid_right: ["RC", "#56e0e9"],
  carotid_left: ["LC", "#f0e442"],
  svc: ["VC", "#ffffff"],
  jugular_right: ["RJ", "#2fd6a3"],
  jugular_left: ["LJ", "#f29ccb"],
};

export const lookOf = (name) => {
  const [letters, colour] = LOOKS[name] ?? [name.slice(0, 2).toUpperCase(), "#cccccc"];
  return { letters, colour };
};

// Accepted is drawn through and thick; what nobody has accepted never looks like it.
const LINES = {
  accepted: { width: 2.2, dash: [] },
  found: { width: 1.3, dash: [] },
  seeded: { width: 1.6, dash: [9, 3] },
  painted: { width: 1.6, dash: [9, 3] },
  proposed: { width: 1.4, dash: [4, 3] },
  withheld: { width: 1.4, dash: [1.5, 3.5] },
  rejected: { width: 1, dash: [1, 6] },
  missing: { width: 1, dash: [1, 6] },
};
export const lineOf = (state) => LINES[state] ?? LINES.withheld;

export const STATE_WORDS = {
  found: "found, checks passed",
  proposed: "proposal, not accepted",
  withheld: "withheld",
  missing: "not found",
  seeded: "drawn from your points",
  painted: "painted by you",
  accepted: "accepted",
  rejected: "rejected",
};

export const WINDOWS = {
  soft: { title: "Soft tissue", low: -160, high: 240 },
  neck: { title: "Neck", low: -65, high: 185 },
  wide: { title: "Wide", low: -700, high: 1300 },
};

export const LANDMARKS = {
  carotid_bifurcation_right: "Right carotid bifurcation",
  carotid_bifurcation_left: "Left carotid bifurcation",
  carina: "Carina",
  right_pulmonary_artery: "Right pulmonary artery",
};

// The codes of the tables and what a reader calls them.
export const REASONS = {
  reader_exclusion: "Other reason (say which)",
  metal: "Metal or its streaks",
  pet_ct_mismatch: "PET and CT do not match here",
};

// Upper ends of the PET's window, SUV.
export const TOPS = [2, 3, 4, 5, 7, 10, 15, 20];
