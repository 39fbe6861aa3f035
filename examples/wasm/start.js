'use strict';
// One program in two places: the page starts a worker with it, then runs it itself.
const run = async module => {
  const go = new Go();
  await go.run(await WebAssembly.instantiate(module, go.importObject));
};
if (self.document) {
  const fail = text => {
    document.getElementById('notice').hidden = false;
    document.getElementById('notice').textContent = text;
  };
  WebAssembly.compileStreaming(fetch('anomaly.wasm')).then(module => {
    self.worker = new Worker('start.js');
    worker.postMessage(module);
    return run(module);
  }).catch(e => fail(location.protocol === 'file:' ? 'Browsers start no WebAssembly from disk: serve this folder, and open it from there.' : e.message));
} else {
  importScripts('wasm_exec.js');
  addEventListener('message', e => run(e.data).catch(e => e.message).then(text => postMessage({ gone: text || 'the program ended' })), { once: true });
}
