// The page as a Homie 5 root device over MQTT 3.1.1 (WebSocket): seat, step, heartbeat, wishes. It writes below its own
// device only; the gateway decides what a wish may do. Presence is the heartbeat's age, so every reconnect says all anew.
import mqtt from "/static/vendor/mqtt/mqtt.esm.js";
import { call } from "./lesson/api.js";

export const HEARTBEAT_MS = 5000;
const GIVE_UP_MS = 5000; // no connection for so long: the page polls until there is one
const RIGHTS_MS = 700;
const RIGHTS_TRIES = 12;
const SETTINGS = { heartbeat: "datetime", seat: "string", lesson: "string", step: "integer", "needs-help": "boolean", visible: "boolean" };

/** Events: lamp (online | retry | polling), lesson, lease, reading, stopped, table; `detail` carries the payload. */
export class Terminal extends EventTarget {
  constructor({ id, room, seat, lesson, step }) {
    super();
    this.id = id;
    this.room = room;
    this.values = { seat, lesson, step: String(step), "needs-help": "false", visible: String(!document.hidden), heartbeat: "" };
    this.leases = new Map();
    this.readings = new Map(); // device → {property: text}
    this.descriptions = new Map();
    this.children = []; // devices of this page, below the terminal: its own camera
    this.table = { layout: null, poses: new Map() }; // the room's simulated table, where there is one
    this.seq = 0;
    this.lamp = "retry";
    document.addEventListener("visibilitychange", () => this.set("visible", String(!document.hidden)));
    window.addEventListener("pagehide", () => this.stop());
  }

  get online() {
    return this.client?.connected === true;
  }

  /** Ask for access and connect; called again when the group's robots change. Failing is no error: the page polls. */
  async start() {
    this.wanted = true;
    clearTimeout(this.again);
    if (!this.id || !this.room) return this.show("polling");
    try {
      this.access = await call("GET", "/api/lesson/connection");
    } catch {
      this.show("polling");
      this.again = setTimeout(() => this.start(), 15000);
      return;
    }
    this.dispatchEvent(new CustomEvent("access", { detail: this.access }));
    this.connect();
  }

  connect() {
    this.client?.end(true);
    const secure = location.protocol === "https:";
    const port = secure ? this.access.wss_port : this.access.ws_port;
    const url = `${secure ? "wss" : "ws"}://${location.hostname}:${port}${this.access.ws_path}`;
    this.since = Date.now();
    const client = mqtt.connect(url, {
      clientId: this.access.client_id,
      username: this.access.username,
      password: this.access.password,
      protocolVersion: 4,
      clean: true,
      keepalive: 10,
      connectTimeout: 4000,
      reconnectPeriod: 1500,
      queueQoSZero: false, // a wish that cannot go now must not go later
      will: { topic: `homie/5/${this.id}/$state`, payload: "lost", qos: 1, retain: true },
    });
    this.client = client;
    this.refusals = 0;
    client.on("connect", () => client === this.client && this.greet());
    client.on("message", (topic, payload) => client === this.client && this.hear(topic, payload.toString()));
    client.on("error", () => {
      // The credential may have been renewed or not be provisioned yet: ask anew after a few refusals.
      if (client === this.client && ++this.refusals >= 3) {
        client.end(true);
        this.again = setTimeout(() => this.wanted && this.start(), 3000);
      }
    });
    client.on("close", () => {
      if (client !== this.client || !this.wanted) return;
      clearInterval(this.beat);
      this.show(this.lamp === "polling" || Date.now() - (this.lastOnline ?? this.since) > GIVE_UP_MS ? "polling" : "retry");
    });
  }

  greet() {
    const devices = [...this.access.robots, ...this.access.cameras].map((kit) => `homie/5/${kit.id}/#`);
    const room = `zhike/room/${this.room}`;
    const table = `homie/5/arena-${this.room}`;
    const places = this.access.robots.length ? [`${table}/arena/layout`, ...this.access.robots.map((kit) => `${table}/${kit.id}/pose`)] : [];
    this.subscribe([`${room}/lesson`, `${room}/stopped`, `${room}/lease/+`, ...devices, ...places]);
    // On a PC with an agent the root device is the agent's: it has the PC's kits as children, and its end must show.
    const own = !this.access.agent;
    if (own) this.put("$state", "init");
    if (own) this.put("$description", JSON.stringify(this.description()));
    for (const [name, value] of Object.entries(this.values)) if (name !== "heartbeat") this.put(`terminal/${name}`, value);
    if (own) this.put("$state", "ready");
    this.tick();
    clearInterval(this.beat);
    this.beat = setInterval(() => this.tick(), HEARTBEAT_MS);
    this.show("online");
  }

  /** Where the broker has not heard yet what this terminal may read (a robot was just handed out), it is asked again. */
  subscribe(topics, tries = RIGHTS_TRIES) {
    const { client } = this;
    client.subscribe(topics, { qos: 1 }, (error) => {
      if (error && tries > 0) setTimeout(() => client === this.client && client.connected && this.subscribe(topics, tries - 1), RIGHTS_MS);
    });
  }

  description() {
    const properties = Object.fromEntries(Object.entries(SETTINGS).map(([name, datatype]) => [name, { name, datatype, retained: true }]));
    const drive = { name: "drive", datatype: "json", retained: false, format: "{}" };
    const nodes = { terminal: { name: "terminal", properties }, wish: { name: "wish", properties: { drive } } };
    const children = this.children.length ? { children: this.children } : {};
    return { homie: "5.0", version: 1 + this.children.length, name: this.id, ...children, nodes };
  }

  tick() {
    this.lastOnline = Date.now();
    this.set("heartbeat", new Date().toISOString());
  }

  set(name, value) {
    this.values[name] = value;
    if (this.online) this.put(`terminal/${name}`, value);
  }

  put(topic, payload, { retain = true, qos = 1 } = {}) {
    this.client.publish(`homie/5/${this.id}/${topic}`, payload, { qos, retain });
  }

  /** Ask for a movement (not retained, QoS 0); false where it cannot go now. */
  wish(wanted) {
    if (!this.online) return false;
    this.put("wish/drive", JSON.stringify({ seq: ++this.seq, ...wanted }), { retain: false, qos: 0 });
    return true;
  }

  hear(topic, text) {
    const parts = topic.split("/");
    if (topic === `zhike/room/${this.room}/lesson`) return this.tell("lesson", parse(text));
    if (topic === `zhike/room/${this.room}/stopped`) return this.tell("stopped", parse(text));
    if (parts[3] === "lease") {
      const lease = parse(text);
      if (lease?.device) this.leases.set(parts[4], lease);
      else this.leases.delete(parts[4]);
      return this.tell("lease", { device: parts[4], lease: lease ?? null });
    }
    if (parts[2] === `arena-${this.room}`) return this.look(parts[3], parse(text));
    if (parts[0] === "homie" && parts[2] !== this.id) this.read(parts[2], parts.slice(3), text);
  }

  /** The drawing of the simulated table, or where a robot stands on it. */
  look(node, value) {
    if (!value) return;
    if (node === "arena") this.table.layout = value;
    else this.table.poses.set(node, value);
    this.tell("table", { node });
  }

  read(device, path, text) {
    const known = this.readings.get(device) ?? {};
    this.readings.set(device, known);
    if (path[0] === "$description") this.descriptions.set(device, parse(text));
    else if (path[0] === "$state") known.$state = text;
    else if (path[0] === "main" && path.length === 2) known[path[1]] = text;
    else return;
    this.tell("reading", { device, property: path[path.length - 1], value: text });
  }

  /** The lease of the robot that this seat's group holds, if any. */
  lease() {
    for (const lease of this.leases.values()) if (lease.holders?.includes(this.id)) return lease;
    return null;
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  show(lamp) {
    if (lamp === this.lamp && lamp !== "online") return;
    this.lamp = lamp;
    this.tell("lamp", lamp);
  }

  stop() {
    this.wanted = false;
    clearTimeout(this.again);
    clearInterval(this.beat);
    if (this.online) this.put("$state", "disconnected");
    this.client?.end(false);
  }
}

function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
