// A format: one name per line.
const newline = "\n".charCodeAt(0);

export const formatter = {
  begin(name, columns, options) {
    return new Uint8Array();
  },

  chunk(rows) {
    const { count, data, ends } = rows.next(0);
    if (count === 0) return undefined;
    const out = new Uint8Array(data.length + count);
    let start = 0;
    ends.forEach((end, row) => {
      out.set(data.subarray(start, end), start + row);
      out[end + row] = newline;
      start = end;
    });
    return out;
  },
};
