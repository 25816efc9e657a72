/** A table seen from above, on a canvas: walls, tape, lamps, robots. Metres, x right, y up, as the simulators tell it. */

const GLIDE_MS = 220; // poses come five times a second
const ROBOT_M = 0.08;
const BEAM = (12 * Math.PI) / 180; // half of the ultrasonic sensor's cone
const TRAIL = 300;
const TRAIL_GAP_M = 0.01;
const RIM_M = 0.05;
const TAPE_M = 0.024;
const COLOURS = ['#1971c2', '#c2255c', '#2f9e44', '#e8590c', '#6741d9', '#0c8599', '#846200', '#5c3a21'];

export class TableView {
  constructor(canvas) {
    this.canvas = canvas;
    this.layout = null;
    this.robots = new Map();
    this.frame = 0;
    this.resized = new ResizeObserver(() => this.soon());
    this.resized.observe(canvas);
  }

  setLayout(layout) {
    if (!Array.isArray(layout?.size)) return;
    this.layout = { walls: [], tape: [], lamps: [], ...layout };
    this.soon();
  }

  get ready() {
    return Boolean(this.layout && [...this.robots.values()].some((robot) => robot.to));
  }

  robot(id) {
    if (!this.robots.has(id)) this.robots.set(id, { id, number: id, range: null, moving: false, trail: [], colour: COLOURS[this.robots.size % COLOURS.length] });
    return this.robots.get(id);
  }

  colour(id) {
    return this.robot(id).colour;
  }

  /** What the label and the beam show: {number, range, moving}; a robot without a place is not drawn. */
  describe(id, facts) {
    Object.assign(this.robot(id), facts);
    this.soon();
  }

  place(id, { x, y, heading }) {
    if (![x, y, heading].every(Number.isFinite)) return;
    const robot = this.robot(id);
    robot.from = robot.to ? this.shown(robot) : { x, y, heading };
    robot.to = { x, y, heading };
    robot.at = performance.now();
    this.soon();
  }

  shown(robot) {
    const share = Math.min(1, (performance.now() - robot.at) / GLIDE_MS);
    const turn = Math.atan2(Math.sin(robot.to.heading - robot.from.heading), Math.cos(robot.to.heading - robot.from.heading));
    return {
      x: robot.from.x + (robot.to.x - robot.from.x) * share,
      y: robot.from.y + (robot.to.y - robot.from.y) * share,
      heading: robot.from.heading + turn * share,
    };
  }

  /** The robot under a point of the canvas (CSS pixels), or ''. */
  under(left, top) {
    if (!this.scale) return '';
    const x = (left - this.left) / this.scale;
    const y = (this.bottom - top) / this.scale;
    const near = [...this.robots.values()].filter((robot) => robot.to && Math.hypot(robot.to.x - x, robot.to.y - y) < ROBOT_M * 1.4);
    return near[0]?.id ?? '';
  }

  soon() {
    this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  draw() {
    const { canvas, layout } = this;
    const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
    if (!layout || !wide || !high) return;
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(high * ratio)) [canvas.width, canvas.height] = [Math.round(wide * ratio), Math.round(high * ratio)];
    const [width, height] = layout.size;
    this.scale = Math.min(wide / (width + 2 * RIM_M), high / (height + 2 * RIM_M));
    this.left = (wide - width * this.scale) / 2;
    this.bottom = (high + height * this.scale) / 2;
    const pen = canvas.getContext('2d');
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, wide, high);
    pen.setTransform(ratio * this.scale, 0, 0, -ratio * this.scale, ratio * this.left, ratio * this.bottom);
    ground(pen, layout);
    let gliding = false;
    for (const robot of this.robots.values()) {
      if (!robot.to) continue;
      const pose = this.shown(robot);
      gliding ||= performance.now() - robot.at < GLIDE_MS;
      const [last] = robot.trail.slice(-1);
      if (!last || Math.hypot(last[0] - pose.x, last[1] - pose.y) > TRAIL_GAP_M) robot.trail = [...robot.trail, [pose.x, pose.y]].slice(-TRAIL);
      body(pen, robot, pose);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const robot of this.robots.values()) if (robot.to) label(pen, robot, this.shown(robot), this);
    if (gliding) this.soon();
  }

  close() {
    this.resized.disconnect();
    cancelAnimationFrame(this.frame);
  }
}

function ground(pen, { size: [width, height], walls, tape, lamps }) {
  pen.fillStyle = '#fdfdfb';
  pen.fillRect(-RIM_M, -RIM_M, width + 2 * RIM_M, height + 2 * RIM_M);
  pen.strokeStyle = '#e9ecef';
  pen.lineWidth = 0.003;
  pen.beginPath();
  for (let x = 0.2; x < width; x += 0.2) { pen.moveTo(x, 0); pen.lineTo(x, height); }
  for (let y = 0.2; y < height; y += 0.2) { pen.moveTo(0, y); pen.lineTo(width, y); }
  pen.stroke();
  for (const [x, y] of lamps) {
    const shine = pen.createRadialGradient(x, y, 0.01, x, y, 0.45);
    shine.addColorStop(0, '#ffd43b');
    shine.addColorStop(0.15, '#ffec99');
    shine.addColorStop(1, 'rgba(255, 236, 153, 0)');
    pen.fillStyle = shine;
    pen.beginPath();
    pen.arc(x, y, 0.45, 0, 7);
    pen.fill();
  }
  lines(pen, tape, TAPE_M, '#212529');
  lines(pen, walls, 0.018, '#a6471a');
}

function lines(pen, segments, width, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.lineCap = 'round';
  pen.beginPath();
  for (const [ax, ay, bx, by] of segments) { pen.moveTo(ax, ay); pen.lineTo(bx, by); }
  pen.stroke();
}

function body(pen, robot, { x, y, heading }) {
  const at = (forward, left) => [x + Math.cos(heading) * forward - Math.sin(heading) * left, y + Math.sin(heading) * forward + Math.cos(heading) * left];
  pen.globalAlpha = 0.35;
  pen.strokeStyle = robot.colour;
  pen.lineWidth = 0.008;
  pen.lineJoin = 'round';
  pen.beginPath();
  robot.trail.forEach(([left, top], index) => (index ? pen.lineTo(left, top) : pen.moveTo(left, top)));
  pen.stroke();
  if (Number.isFinite(robot.range)) {
    const reach = Math.min(robot.range / 100, 4);
    pen.fillStyle = robot.colour;
    pen.globalAlpha = 0.12;
    pen.beginPath();
    pen.moveTo(...at(ROBOT_M, 0));
    for (const side of [1, -1]) pen.lineTo(...at(ROBOT_M + reach * Math.cos(BEAM), side * reach * Math.sin(BEAM)));
    pen.fill();
  }
  pen.globalAlpha = 1;
  lines(pen, [1, -1].map((side) => [...at(-0.035, side * 0.072), ...at(0.035, side * 0.072)]), 0.026, '#343a40');
  pen.beginPath();
  pen.arc(x, y, ROBOT_M * 0.9, 0, 7);
  pen.fillStyle = robot.colour;
  pen.fill();
  pen.lineWidth = 0.01;
  pen.strokeStyle = robot.moving ? '#ffd43b' : '#ffffff';
  pen.stroke();
  pen.fillStyle = '#ffffff';
  pen.beginPath();
  for (const [forward, left] of [[0.068, 0], [0.044, 0.024], [0.044, -0.024]]) pen.lineTo(...at(forward, left));
  pen.fill();
}

/** The number stays upright whichever way the robot looks. */
function label(pen, robot, pose, view) {
  const size = Math.max(11, view.scale * 0.07);
  pen.font = `700 ${size}px sans-serif`;
  pen.textAlign = 'center';
  pen.textBaseline = 'middle';
  pen.fillStyle = '#ffffff';
  pen.fillText(robot.number, view.left + (pose.x - Math.cos(pose.heading) * 0.012) * view.scale, view.bottom - (pose.y - Math.sin(pose.heading) * 0.012) * view.scale);
}
