/** The protocol counts cursor positions in Unicode code points; JavaScript's strings count UTF-16 units. */

export function unitsFromCodePoints(text: string, points: number): number {
  let units = 0;
  for (let n = 0; n < points && units < text.length; n++) units += text.codePointAt(units)! > 0xffff ? 2 : 1;
  return units;
}

export function codePointsFromUnits(text: string, units: number): number {
  let points = 0;
  for (let i = 0; i < units && i < text.length; points++) i += text.codePointAt(i)! > 0xffff ? 2 : 1;
  return points;
}
