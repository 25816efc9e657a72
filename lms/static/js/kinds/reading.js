// Reading: the button is the answer.
export function mount() {
  return { answer: () => ({ read: true }) };
}
