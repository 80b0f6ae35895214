"use strict";
// socket.io: the three events. Serves the port that it is given.

const { createServer } = require("node:http");
const { Server } = require("socket.io");
const form = require("./form.cjs");

const http = createServer();
// No ping of its own comes between: the longest run is shorter than that.
const server = new Server(http, { pingInterval: 3_600_000, transports: ["websocket"] });

server.on("connection", (socket) => {
  socket.on("ping", () => socket.emit("pong", {}));
  socket.on("submit", (data) =>
    socket.emit(form.safeParse(data).success ? "submitted" : "error", {}),
  );
  socket.on("say", (data) => server.emit("said", data));
});

http.listen(Number(process.argv[2]), "127.0.0.1");
