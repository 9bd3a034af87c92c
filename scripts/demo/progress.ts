/** A line that is written over while something is waited for; nothing at all when stderr is not a terminal. */
export function createProgress(stream: NodeJS.WriteStream = process.stderr) {
  const erase = () => {
    if (stream.isTTY) stream.write('\r\u001B[K');
  };
  return {
    show(text: string): void {
      if (!stream.isTTY) return;
      erase();
      stream.write(text);
    },
    clear: erase,
    /** A line that stays, terminal or not. */
    notice(text: string): void {
      erase();
      stream.write(`${text}\n`);
    },
  };
}
