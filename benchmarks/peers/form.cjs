"use strict";
// The schema of `submit`, as zod has it.

const { z } = require("zod");

module.exports = z.strictObject({
  title: z.string().min(1).max(80),
  email: z.string().regex(/^[^@]+@[^@]+$/),
  seats: z.number().int().min(1).max(20),
  kind: z.enum(["talk", "workshop"]),
  tags: z.array(z.string()).max(5),
  note: z.string(),
});
