/** The frame constructors of rhea, which its own types leave out. */
declare module 'rhea/lib/frames.js' {
  const frames: {
    disposition(fields: {
      role: boolean;
      first: number;
      last: number;
      settled: boolean;
      state: unknown;
    }): unknown;
  };
  export default frames;
}
