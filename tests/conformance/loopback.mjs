// Leads puter.js to the LocalPuter of PUTER_API_BASE, and lets it reach nothing but loopback.

import net from 'node:net';

export const outside = [];
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...given) {
    const [options] = Array.isArray(given[0]) ? given[0] : given;
    const host = options?.host ?? '127.0.0.1';
    if (!['127.0.0.1', 'localhost', '::1'].includes(host)) {
        outside.push(host);
        this.destroy(new Error(`${host} is outside`));
        return this;
    }
    return connect.apply(this, given);
};

globalThis.PUTER_API_ORIGIN = process.env.PUTER_API_BASE;
globalThis.PUTER_ORIGIN = process.env.PUTER_API_BASE;
