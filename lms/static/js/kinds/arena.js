// The virtual robot: a differential drive on a flat arena. Centimetres, degrees, seconds; x right, y up. Pure, no page.
// A simple model for class: no slip, no noise. Sensors as on the kit: range (cm, front), line (0 both on … 3 both off), light (0–100).

const BODY_CM = 8;
const MAX_MPS = 0.5;
const MAX_RADPS = 4;
const RANGE_MAX_CM = 400;
const CONE_DEG = [-8, -4, 0, 4, 8];
const LINE_HALF_CM = 1.6;
const STEP_S = 0.01;

export class VirtualRobot {
  constructor(arena, goal = { type: "free" }) {
    this.arena = { walls: [], line: [], lights: [], targets: [], ...arena };
    this.goal = goal;
    const [width, height] = this.arena.size;
    this.edges = [[0, 0, width, 0], [width, 0, width, height], [width, height, 0, height], [0, height, 0, 0], ...this.arena.walls];
    this.marks = along(this.arena.line, 2);
    this.reset();
  }

  reset() {
    [this.x, this.y] = this.arena.start;
    this.heading = radians(this.arena.start[2] ?? 0);
    this.linear = this.angular = 0;
    this.trail = [[this.x, this.y]];
    this.touching = false;
    this.seconds = this.distance = this.turned = this.bumps = 0;
    this.nearest = this.range();
    this.visited = new Set();
    this.seen = new Set();
    this.look();
  }

  command(linear, angular) {
    this.linear = clamp(linear, -MAX_MPS, MAX_MPS);
    this.angular = clamp(angular, -MAX_RADPS, MAX_RADPS);
  }

  get moving() {
    return this.linear !== 0 || this.angular !== 0;
  }

  advance(seconds) {
    for (let left = seconds; left > 1e-9; left -= STEP_S) this.step(Math.min(STEP_S, left));
  }

  step(dt) {
    this.seconds += dt;
    if (!this.moving) return;
    this.heading += this.angular * dt;
    this.turned += Math.abs(degrees(this.angular * dt));
    const way = this.linear * 100 * dt;
    const x = this.x + Math.cos(this.heading) * way;
    const y = this.y + Math.sin(this.heading) * way;
    const hit = this.edges.some((edge) => distanceTo(edge, x, y) < BODY_CM && distanceTo(edge, x, y) < distanceTo(edge, this.x, this.y));
    if (hit) {
      if (!this.touching) this.bumps += 1;
    } else {
      [this.x, this.y] = [x, y];
      this.distance += Math.abs(way);
      const [lastX, lastY] = this.trail[this.trail.length - 1];
      if (Math.hypot(x - lastX, y - lastY) > 1 && this.trail.length < 5000) this.trail.push([x, y]);
    }
    this.touching = hit;
    this.look();
  }

  look() {
    this.nearest = Math.min(this.nearest, this.range());
    this.arena.targets.forEach(([x, y, r], index) => Math.hypot(this.x - x, this.y - y) <= r && this.seen.add(index));
    const [frontX, frontY] = this.at(BODY_CM - 2, 0);
    this.marks.forEach(([x, y], index) => Math.hypot(frontX - x, frontY - y) < 5 && this.visited.add(index));
  }

  at(forward, left) {
    const [cos, sin] = [Math.cos(this.heading), Math.sin(this.heading)];
    return [this.x + cos * forward - sin * left, this.y + sin * forward + cos * left];
  }

  range() {
    const [x, y] = this.at(BODY_CM, 0);
    const found = CONE_DEG.map((angle) => ray(this.edges, x, y, this.heading + radians(angle)));
    return Math.round(10 * Math.min(RANGE_MAX_CM, ...found)) / 10;
  }

  line() {
    const on = ([x, y]) => pairs(this.arena.line).some((edge) => distanceTo(edge, x, y) <= LINE_HALF_CM);
    return (on(this.at(BODY_CM - 2, 1.2)) ? 0 : 2) + (on(this.at(BODY_CM - 2, -1.2)) ? 0 : 1);
  }

  light() {
    let sum = 8;
    for (const [x, y] of this.arena.lights) {
      const away = Math.hypot(x - this.x, y - this.y);
      const facing = 0.6 + 0.4 * Math.cos(Math.atan2(y - this.y, x - this.x) - this.heading);
      sum += (92 * facing) / (1 + (away / 35) ** 2);
    }
    return Math.round(clamp(sum, 0, 100));
  }

  sensor(name) {
    return { range: () => this.range(), line: () => this.line(), light: () => this.light(), battery: () => 100 }[name]?.() ?? null;
  }

  /** Whether the goal is reached now: {reached, note}; `note` names the figure behind it. */
  judge() {
    const { type } = this.goal;
    if (type === "reach") {
      const wanted = this.goal.target === undefined ? this.arena.targets.map((_, index) => index) : [this.goal.target];
      const done = wanted.filter((index) => this.seen.has(index)).length;
      return { reached: done === wanted.length, note: `${done}/${wanted.length}` };
    }
    if (type === "stop_before") {
      const range = this.range();
      const within = range >= (this.goal.min_cm ?? 0) && range <= this.goal.max_cm;
      return { reached: within && !this.moving && this.bumps === 0 && this.distance > 1, note: `${range} cm` };
    }
    if (type === "follow") {
      const share = this.marks.length ? this.visited.size / this.marks.length : 0;
      return { reached: share >= (this.goal.share ?? 0.8), note: `${Math.round(share * 100)} %` };
    }
    return { reached: this.distance > 1, note: "" };
  }

  telemetry() {
    const rounded = (value) => Math.round(value * 10) / 10;
    return {
      seconds: rounded(this.seconds),
      distance_cm: rounded(this.distance),
      turned_deg: rounded(this.turned),
      min_range_cm: this.nearest,
      last_range_cm: this.range(),
      bumps: this.bumps,
    };
  }
}

/** Draw the arena and the robot so that they fill the canvas. */
export function draw(canvas, robot) {
  const { size, walls, line, lights, targets } = robot.arena;
  const ratio = window.devicePixelRatio || 1;
  const scale = Math.min(canvas.clientWidth / (size[0] + 6), canvas.clientHeight / (size[1] + 6));
  if (!(scale > 0)) return;
  const [wide, high] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const pen = canvas.getContext("2d");
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, wide, high);
  pen.setTransform(ratio * scale, 0, 0, -ratio * scale, (wide - ratio * scale * size[0]) / 2, (high + ratio * scale * size[1]) / 2);
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, ...size);
  grid(pen, size);
  for (const [x, y] of lights) glow(pen, x, y);
  targets.forEach(([x, y, r], index) => disc(pen, x, y, r, robot.seen.has(index) ? "#69db7c" : "#d3f9d8", "#2f9e44"));
  stroke(pen, line, 2.6, "#212529");
  stroke(pen, robot.trail, 0.8, "#74c0fc");
  for (const [x1, y1, x2, y2] of walls) stroke(pen, [[x1, y1], [x2, y2]], 2, "#e8590c");
  pen.lineWidth = 1.5;
  pen.strokeStyle = "#495057";
  pen.strokeRect(0, 0, ...size);
  body(pen, robot);
}

function grid(pen, [width, height]) {
  pen.strokeStyle = "#f1f3f5";
  pen.lineWidth = 0.4;
  pen.beginPath();
  for (let x = 10; x < width; x += 10) pen.moveTo(x, 0), pen.lineTo(x, height);
  for (let y = 10; y < height; y += 10) pen.moveTo(0, y), pen.lineTo(width, y);
  pen.stroke();
}

function body(pen, robot) {
  const range = Math.min(robot.range(), 120);
  const front = robot.at(BODY_CM, 0);
  stroke(pen, [front, robot.at(BODY_CM + range, 0)], 0.6, "#ffa94d");
  disc(pen, robot.x, robot.y, BODY_CM, robot.touching ? "#ffc9c9" : "#a5d8ff", "#1864ab");
  for (const side of [1, -1]) stroke(pen, [robot.at(-4, side * 7), robot.at(4, side * 7)], 2.5, "#343a40");
  pen.fillStyle = "#1864ab";
  pen.beginPath();
  for (const [forward, left] of [[7, 0], [0, 3.5], [0, -3.5]]) pen.lineTo(...robot.at(forward, left));
  pen.fill();
}

function glow(pen, x, y) {
  const shine = pen.createRadialGradient(x, y, 1, x, y, 28);
  shine.addColorStop(0, "#ffe066");
  shine.addColorStop(1, "rgba(255, 224, 102, 0)");
  pen.fillStyle = shine;
  pen.beginPath();
  pen.arc(x, y, 28, 0, 7);
  pen.fill();
}

function disc(pen, x, y, r, fill, edge) {
  pen.beginPath();
  pen.arc(x, y, r, 0, 7);
  pen.fillStyle = fill;
  pen.fill();
  pen.lineWidth = 0.8;
  pen.strokeStyle = edge;
  pen.stroke();
}

function stroke(pen, points, width, colour) {
  if (points.length < 2) return;
  pen.lineWidth = width;
  pen.strokeStyle = colour;
  pen.lineJoin = pen.lineCap = "round";
  pen.beginPath();
  points.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, Number.isFinite(value) ? value : 0));
const radians = (angle) => (angle * Math.PI) / 180;
const degrees = (angle) => (angle * 180) / Math.PI;
const pairs = (points) => points.slice(1).map((point, index) => [...points[index], ...point]);

function along(points, gap) {
  const marks = [];
  for (const [x1, y1, x2, y2] of pairs(points)) {
    const count = Math.max(1, Math.round(Math.hypot(x2 - x1, y2 - y1) / gap));
    for (let index = 0; index < count; index++) marks.push([x1 + ((x2 - x1) * index) / count, y1 + ((y2 - y1) * index) / count]);
  }
  return marks;
}

function distanceTo([x1, y1, x2, y2], x, y) {
  const length = (x2 - x1) ** 2 + (y2 - y1) ** 2;
  const share = length ? clamp(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length, 0, 1) : 0;
  return Math.hypot(x - x1 - share * (x2 - x1), y - y1 - share * (y2 - y1));
}

function ray(edges, x, y, angle) {
  const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
  let nearest = Infinity;
  for (const [x1, y1, x2, y2] of edges) {
    const [ex, ey] = [x2 - x1, y2 - y1];
    const cross = dx * ey - dy * ex;
    if (Math.abs(cross) < 1e-12) continue;
    const away = ((x1 - x) * ey - (y1 - y) * ex) / cross;
    const share = ((x1 - x) * dy - (y1 - y) * dx) / cross;
    if (away >= 0 && share >= -1e-9 && share <= 1 + 1e-9) nearest = Math.min(nearest, away);
  }
  return nearest;
}
