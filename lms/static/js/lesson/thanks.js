// The thank-you page goes back to the pupils' door by itself, for the next class.
const place = document.getElementById("thanks");
const seconds = Number(place.dataset.seconds);
setTimeout(() => location.assign(place.dataset.next), seconds * 1000);
