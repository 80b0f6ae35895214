"use strict";
// ws: the three events by hand. Serves the port that it is given.

const { WebSocketServer } = require("ws");
const form = require("./form.cjs");

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]) });
const text = (event, data) => JSON.stringify({ event, data });

server.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (bytes) => {
    const { event, data } = JSON.parse(bytes);
    if (event === "ping") {
      socket.send(text("pong", {}));
    } else if (event === "submit") {
      socket.send(text(form.safeParse(data).success ? "submitted" : "error", {}));
    } else {
      const said = text("said", data);
      for (const one of server.clients) one.send(said);
    }
  });
});
