/** The console's own line to the broker: hears terminals, robots and the gateway; may say one thing only: stop. */

import mqtt from '../../vendor/mqtt/mqtt.esm.js';

const REFUSED = new Set([4, 5]); // MQTT 3.1.1 CONNACK: bad user name or password, not authorised
const PATIENCE = 5;

/**
 * Opens the line: `hear(topic, text)` for every message, `changed(live)` when it comes and goes, `stale()` once when the broker keeps
 * refusing the credential: ask for a new one. `topics`: what it listens to. Returns {publish, live, close}.
 */
export function openLink(credential, hear, changed, stale, topics = ['homie/5/#', `zhike/room/${credential.room}/#`]) {
  const secure = location.protocol === 'https:';
  const port = secure ? credential.wss_port : credential.ws_port;
  const client = mqtt.connect(`${secure ? 'wss' : 'ws'}://${location.hostname}:${port}${credential.ws_path}`, {
    clientId: credential.client_id,
    username: credential.username,
    password: credential.password,
    protocolVersion: 4,
    keepalive: 15,
    connectTimeout: 5000,
    reconnectPeriod: 2000,
    queueQoSZero: false,
    resubscribe: false,
    reconnectOnConnackError: true, // the bridge may need a moment to make the credential known
  });
  const decoder = new TextDecoder();
  let live = false;
  const now = (yes) => { if (yes !== live) { live = yes; changed(yes); } };
  client.on('connect', () => {
    client.subscribe(topics, { qos: 1 }, (error) => now(!error));
  });
  for (const event of ['close', 'offline', 'end']) client.on(event, () => now(false));
  client.on('error', () => now(false));
  let refusals = 0;
  client.on('error', (error) => {
    refusals = REFUSED.has(error.code) ? refusals + 1 : refusals;
    if (refusals === PATIENCE) { client.end(true); stale(); }
  });
  client.on('message', (topic, payload) => hear(topic, typeof payload === 'string' ? payload : decoder.decode(payload)));
  return {
    live: () => live,
    publish: (topic, message) => new Promise((resolve, reject) => {
      if (!client.connected) { reject(new Error('not connected')); return; }
      const late = setTimeout(() => reject(new Error('late')), 1500);
      client.publish(topic, JSON.stringify(message), { qos: 1 }, (error) => {
        clearTimeout(late);
        if (error) reject(error); else resolve();
      });
    }),
    close: () => client.end(true),
  };
}
