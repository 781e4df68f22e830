/** Types of what the kernel itself puts into every cell's reach. */
export const GLOBALS = `
/** Shows a value now; with an id it can be updated later. */
declare function display(value: unknown, options?: { id?: string }): void;
`;
