/** Run in a network of its own: leads what comes by a Unix socket, which knows no networks, to a port of its loopback. */
import { connect, createServer } from 'node:net';

const [socketPath = '', port = ''] = process.argv.slice(2);
const server = createServer((client) => {
  const service = connect(Number(port), '127.0.0.1');
  client.pipe(service).pipe(client);
  client.on('error', () => service.destroy());
  service.on('error', () => client.destroy());
});
server.listen(socketPath, () => process.stdout.write(`${JSON.stringify({ ready: true })}\n`));
