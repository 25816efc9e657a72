/** What a seat is doing, from the server's register and the terminals' own messages. Mirrors teaching.rules.seat_state. */

export const ONLINE_MS = 15000;

/** Newest signs of life of each terminal, as heard from the broker: terminal id → {beatAt, step, help, visible}. */
export class Signs {
  constructor() { this.terminals = new Map(); }

  /** Takes a message below homie/5/<terminal>/terminal/; returns the property that changed, or ''. */
  hear(topic, text) {
    const [, , device, node, property] = topic.split('/');
    if (node !== 'terminal' || !property) return '';
    const sign = this.terminals.get(device) || {};
    const before = sign[property];
    sign[property] = text;
    if (property === 'needs-help' && before !== text) sign.helpHeard = performance.now();
    if (property === 'heartbeat') {
      const at = Date.parse(text);
      sign.beatAt = Number.isNaN(at) ? 0 : at;
    }
    this.terminals.set(device, sign);
    return before === text ? '' : property;
  }

  /**
   * The pupil with what the terminal itself says laid over what the server knew. `now`: server time, ms;
   * `spoken`: when the server's word came (performance.now()): a raised hand counts only until the server has spoken.
   */
  over(pupil, terminal, lesson, now, spoken) {
    const sign = this.terminals.get(terminal);
    const state = { ...pupil };
    if (sign && (!sign.lesson || sign.lesson === lesson)) {
      const known = Date.parse(pupil.beat_at || 0) || 0;
      if (sign.beatAt && sign.beatAt > known) {
        state.beat_at = new Date(sign.beatAt).toISOString();
        if (sign.step !== undefined) state.step = Number(sign.step);
        if (sign.visible !== undefined) state.visible = sign.visible !== 'false';
      }
      if (sign['needs-help'] === 'true' && !state.help_at && sign.helpHeard > spoken) state.help_at = new Date(now).toISOString();
    }
    return state;
  }
}

/** absent | leave | left | hand | here | done | help | offline */
export function seatState(pupil, activity, now) {
  if (pupil.status === 'leave') return 'leave';
  if (pupil.status === 'left_early') return 'left';
  if (pupil.status === 'absent') return 'absent';
  if (!pupil.at_terminal) return 'hand';
  if (pupil.help_at) return 'help';
  const newest = Math.max(Date.parse(pupil.beat_at || 0) || 0, Date.parse(pupil.signed_in_at || 0) || 0);
  if (now - newest > ONLINE_MS) return 'offline';
  return activity && pupil.done.includes(activity) ? 'done' : 'here';
}
