/** MIME type to content; binary types as base64 strings, JSON types as objects (Jupyter's convention). */
export type MimeBundle = Record<string, unknown>;
