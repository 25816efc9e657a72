// Tells the pupil while a teacher looks at the screens of the room, from what the lesson's state says, by MQTT or by polling.
const sign = document.getElementById("watched");
const page = window.zhike.page;
let skew = 0;
let saidAt = "";

setInterval(() => {
  const { at, watched_until: until } = page.state;
  if (at && at !== saidAt) {
    saidAt = at;
    skew = Date.parse(at) - Date.now(); // the PC's clock may be wrong
  }
  sign.hidden = !until || Date.parse(until) <= Date.now() + skew;
}, 300);
