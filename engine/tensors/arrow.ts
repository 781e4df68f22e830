import { Field, FixedSizeList, Float32, makeData, makeVector, Table, Vector } from "apache-arrow";
import { type Layout, labelAt, sizeOf } from "./layout.ts";

/** One row a line along the last axis: its labels on the other axes, and the line itself. The numbers are not copied. */
export function toArrow(layout: Layout, data: Float32Array): Table {
  const rank = layout.axes.length;
  const lead = Math.max(0, rank - 1);
  const rows = sizeOf(layout.shape.slice(0, lead));
  const columns: Record<string, Vector> = {};
  let step = rows;
  for (let i = 0; i < lead; i++) {
    const n = layout.shape[i];
    step /= n;
    const column = new Int32Array(rows);
    for (let r = 0; r < rows; r++) column[r] = labelAt(layout, i, Math.floor(r / step) % n);
    columns[layout.axes[i]] = makeVector(column);
  }
  if (rank < 2) {
    if (rank === 1)
      columns[layout.axes[0]] = makeVector(Int32Array.from({ length: data.length }, (_, i) => labelAt(layout, 0, i)));
    columns["value"] = makeVector(data);
    return new Table(columns);
  }
  const width = layout.shape[rank - 1];
  const type = new FixedSizeList(width, new Field(layout.axes[rank - 1], new Float32(), false));
  const child = makeData({ type: new Float32(), length: data.length, data });
  columns["value"] = new Vector([makeData({ type, length: rows, child })]);
  return new Table(columns);
}
