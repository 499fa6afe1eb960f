// jspeer: a js-libp2p host with identify, ping, AutoNAT v2 and a circuit relay v2, over TCP.
//   node main.mjs IP PORT     prints {"id": ..., "addrs": [...]} and serves until it is killed
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new Promise((yes, no) => { resolve = yes; reject = no })
  return { promise, resolve, reject }
}
const { createLibp2p } = await import('libp2p')
const { tcp } = await import('@libp2p/tcp')
const { noise } = await import('@chainsafe/libp2p-noise')
const { yamux } = await import('@chainsafe/libp2p-yamux')
const { identify } = await import('@libp2p/identify')
const { ping } = await import('@libp2p/ping')
const { autoNATv2 } = await import('@libp2p/autonat-v2')
const { circuitRelayServer } = await import('@libp2p/circuit-relay-v2')

const [ip, port] = process.argv.slice(2)
const host = await createLibp2p({
  addresses: { listen: [`/ip4/${ip}/tcp/${port}`], announce: [`/ip4/${ip}/tcp/${port}`] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), ping: ping(), autonat: autoNATv2(), relay: circuitRelayServer() }
})
console.log(JSON.stringify({ id: host.peerId.toString(), addrs: host.getMultiaddrs().map(String) }))
