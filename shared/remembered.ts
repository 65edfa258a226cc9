/** How many answers one function's memory holds; then it begins anew. */
const mostRemembered = 1_000;

/** The same function of a text, whose last answers are remembered. For what is slow and asked again and again. */
export function remembered<R>(compute: (text: string) => R): (text: string) => R {
  const answers = new Map<string, R>();
  return (text) => {
    const known = answers.get(text);
    if (known !== undefined) return known;
    const answer = compute(text);
    if (answers.size >= mostRemembered) answers.clear();
    answers.set(text, answer);
    return answer;
  };
}
