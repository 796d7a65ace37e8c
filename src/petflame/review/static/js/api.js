// Talking to the server that served this page, and to nothing else.

/** What the server refused, or that it could not be reached. `faults` hold what, where and remedy. */
export class NotSaved extends Error {
  constructor(faults, status = 0, body = null) {
    super(faults.map((f) => f.what).join("; "));
    this.faults = faults;
    this.status = status;
    this.body = body;
  }
}

const UNREACHABLE = {
  what: "petflame does not answer",
  where: "the program that opened this page has stopped, or the connection to it is cut",
  remedy: "start `petflame review serve` again; all that was saved is kept",
};

async function ask(path, options, take = (answer) => answer.json()) {
  try {
    const answer = await fetch(path, { credentials: "omit", cache: "no-store", ...options });
    if (answer.ok) return await take(answer);
    const body = await answer.json().catch(() => null);
    const unknown = { what: `petflame answered ${answer.status}`, where: "", remedy: "see where petflame was started" };
    throw new NotSaved(body?.faults?.length ? body.faults : [unknown], answer.status, body);
  } catch (error) {
    if (error instanceof NotSaved || error.name === "AbortError") throw error;
    throw new NotSaved([UNREACHABLE]);
  }
}

export const read = (path, signal) => ask(path, { signal });

/** The bytes of an image. */
export const readBytes = (path) => ask(path, {}, (answer) => answer.arrayBuffer());

export const send = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export const visitPath = (item, rest = "") => `api/visit/${encodeURIComponent(item)}${rest}`;
