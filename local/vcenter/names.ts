/** vSphere's way of storing names: '/', '\' and '%' become %2f, %5c and %25. */
export function escapeName(name: string): string {
  return name.replaceAll(/[/\\%]/gu, (character) => `%${character.charCodeAt(0).toString(16)}`);
}
