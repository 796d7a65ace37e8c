// One visit as the server knows it, and the steps of the reader on their way there, one after the other.

import { NotSaved, read, readBytes, send, visitPath } from "./api.js";
import { Grid } from "./geometry.js";
import { Labels } from "./labels.js";

export class Visit {
  constructor(item) {
    this.item = item;
    this.chosen = null;
    this.queue = Promise.resolve();
    this.pending = 0;
    // Why the visit is changed after the reading was locked, in the reader's words.
    this.afterLock = "";
    this.changed = () => {};
    this.refused = () => {};
  }

  async open(niivue) {
    this.niivue = niivue;
    this.state = await read(visitPath(this.item));
    this.grid = new Grid(this.state.grid.shape, this.state.grid.affine_ras);
    await this.loadLabels();
    // The log of a read begins with its being opened.
    if (/^0*$/.test(this.state.head)) await this.noteOpened();
    this.chosen = (this.vessels.find((v) => v.needs_you) ?? this.vessels[0])?.name ?? null;
  }

  async noteOpened() {
    try {
      this.take(await send(visitPath(this.item, "/act"), { head: this.state.head, action: { kind: "open" } }));
    } catch (error) {
      // Looking is allowed where nothing can be written any more; the first step will tell.
      if (!(error instanceof NotSaved)) throw error;
    }
  }

  async loadLabels() {
    const buffer = await readBytes(visitPath(this.item, "/labels.nii.gz"));
    const image = await this.niivue.NVImage.loadFromUrl({ url: "labels.nii.gz", name: "labels.nii.gz", buffer });
    const data = image.img instanceof Uint8Array ? image.img : Uint8Array.from(image.img);
    this.labels = new Labels(data, this.state.grid.shape);
  }

  get vessels() {
    return this.state.vessels;
  }

  get vessel() {
    return this.vessels.find((v) => v.name === this.chosen) ?? null;
  }

  vesselNamed(name) {
    return this.vessels.find((v) => v.name === name);
  }

  vesselOfLabel(label) {
    return this.vessels.find((v) => v.label === label);
  }

  get readOnly() {
    return this.state.read_only || this.state.finished;
  }

  choose(name) {
    this.chosen = name;
    this.changed({});
  }

  /**
   * Send one action; it waits for those before it.
   *
   * Returns the server's answer, or null where it was not saved: then `refused` has been told, and what the picture
   * showed ahead of the answer is taken back by `undoPreview`.
   */
  act(action, { undoPreview = null, why = "" } = {}) {
    this.pending += 1;
    const step = this.queue.then(() => this.send(action, why, undoPreview));
    this.queue = step.catch(() => null);
    return step;
  }

  async send(action, why, undoPreview) {
    try {
      const body = { head: this.state.head, action };
      if (why) body.why = why;
      if (this.afterLock) Object.assign(body, { after_lock: true, why: why || this.afterLock });
      const answer = await send(visitPath(this.item, "/act"), body);
      undoPreview?.();
      this.take(answer);
      return answer;
    } catch (error) {
      undoPreview?.();
      if (!(error instanceof NotSaved)) throw error;
      if (error.status === 409 && error.body?.state) {
        this.state = error.body.state;
        await this.loadLabels().catch(() => null);
      }
      this.refused(error, action);
      return null;
    } finally {
      this.pending -= 1;
      this.changed({ saved: this.pending === 0 });
    }
  }

  take(answer) {
    this.state = answer.state;
    this.labels.take(answer.changed ?? {}, (name) => this.vesselNamed(name).label);
    if (this.chosen && !this.vessel) this.chosen = this.vessels[0]?.name ?? null;
  }
}
