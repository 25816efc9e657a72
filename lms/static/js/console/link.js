/** The console's own line to the broker: hears terminals, robots and the gateway; may say one thing only: stop. */

import mqtt from '../../vendor/mqtt/mqtt.esm.js';

/** Opens the line; `hear(topic, text)` for every message, `changed(live)` when it comes and goes. Returns {publish, live}. */
export function openLink(credential, hear, changed) {
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
  });
  const decoder = new TextDecoder();
  client.on('connect', () => {
    client.subscribe(['homie/5/#', `zhike/room/${credential.room}/#`], { qos: 1 }, (error) => changed(!error));
  });
  for (const event of ['close', 'offline', 'end']) client.on(event, () => changed(false));
  client.on('error', () => changed(false));
  client.on('message', (topic, payload) => hear(topic, typeof payload === 'string' ? payload : decoder.decode(payload)));
  return {
    live: () => client.connected,
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
