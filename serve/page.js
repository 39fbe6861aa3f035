'use strict';
const $ = id => document.getElementById(id);
const make = (tag, props = {}, ...children) => {
  const e = Object.assign(document.createElement(tag), props);
  e.append(...children);
  return e;
};
const short = x => Number(x.toPrecision(4)).toString();
let models = [], recent = { scores: [], rejects: [] }, level = null; // level: of the slider, null for the model's

// ask sends a request with the token, if there is one, and shows what goes wrong.
async function ask(path, options = {}) {
  const token = sessionStorage.getItem('token');
  const headers = { ...options.headers, ...(token && { Authorization: 'Bearer ' + token }) };
  const answer = await fetch(path, { ...options, headers });
  $('login').hidden = answer.status !== 401;
  if (!answer.ok) {
    let text = answer.status + ' ' + answer.statusText;
    try { text = (await answer.json()).error; } catch { /* no JSON */ }
    throw new Error(text);
  }
  return answer;
}
function notice(error) {
  $('notice').hidden = !error;
  $('notice').textContent = error ? error.message : '';
}
const trying = f => async (...args) => { try { notice(null); await f(...args); } catch (e) { notice(e); } };
const current = () => models.find(m => m.name === $('model').value);
const path = rest => 'v1/models/' + encodeURIComponent($('model').value) + rest;

async function look() {
  models = await (await ask('v1/models')).json();
  const chosen = $('model').value;
  if (models.map(m => m.name).join() !== [...$('model').options].map(o => o.value).join()) {
    $('model').replaceChildren(...models.map(m => make('option', { value: m.name, textContent: m.name })));
    if (models.some(m => m.name === chosen)) $('model').value = chosen;
  }
  const m = current();
  for (const id of ['choose', 'camera', 'newest', 'rollback']) $(id).disabled = !m;
  if (!m) { $('state').textContent = 'no models yet'; return; }
  if (m.ready) recent = await (await ask(path('/recent'))).json();
  show(m);
}

function show(m) {
  $('state').textContent = m.ready ? `version ${m.version}, ${m.width ? `${m.width}×${m.height}` : 'any size'}, provider ${m.provider}` : 'not ready: ' + m.reason;
  $('hash').textContent = m.hash ? 'SHA-256 ' + m.hash : '';
  const act = (name, run) => make('button', { textContent: name, onclick: trying(async () => { await run(); await look(); }) });
  const focused = document.activeElement && document.activeElement.dataset.key;
  $('versions').replaceChildren(...m.versions.map(v => make('tr', {},
    make('td', { textContent: v.version }),
    make('td', { textContent: v.ready ? 'in use' : v.reason || (m.shadow && m.shadow.version === v.version ? 'in the shadow' : '') }),
    make('td', {}, ...(v.ready ? [] : [
      keyed('use' + v.version, act('Use', () => post('/use', { version: v.version }))),
      keyed('shadow' + v.version, act('Shadow', () => post('/shadow', { version: v.version })))])))));
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  const s = m.shadow;
  for (const id of ['shadow', 'promote', 'unshadow']) $(id).hidden = !s;
  if (s) {
    $('shadow').textContent = `Version ${s.version} runs beside: ${s.why}. ${s.found} found by it alone, ${s.lost} lost, ${s.failed} failed.`;
    $('promote').disabled = !s.promote;
  }
  count();
  $('drift').replaceChildren(...m.drift.map(d => make('li', { className: d.drifted ? 'anomalous' : 'soft',
    textContent: `${d.quantity} ${d.drifted ? 'has drifted' : 'as in training'}: median ${short(d.median)} of ${d.images} images, usual ${short(d.usual)}` })));
  const key = recent.rejects.map(r => r.number).join();
  if ($('rejects').dataset.key !== m.name + key) {
    $('rejects').dataset.key = m.name + key;
    $('rejects').replaceChildren(...recent.rejects.map(r => {
      const img = make('img', { alt: `reject ${r.number}, score ${short(r.score)}` });
      if (r.picture) picture(img, path('/recent/' + r.number));
      return make('li', {}, img, make('div', { className: 'number', textContent: short(r.score) }),
        ...marks(['false-alarm'], where => ask(`${where}&recent=${r.number}`, { method: 'POST' }), r));
    }));
  }
}
const keyed = (key, e) => { e.dataset.key = key; return e; };
const post = (rest, body) => ask(path(rest), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body ?? {}) });
const picture = async (img, from) => {
  try { img.src = URL.createObjectURL(await (await ask(from)).blob()); img.onload = () => URL.revokeObjectURL(img.src); } catch { /* it has gone by now */ }
};

// marks are buttons that say that a verdict was wrong, and take it back; said has what
// was said before. send asks for a mark to be kept.
function marks(kinds, send, said = {}) {
  if (!current().feedback) return [];
  const where = path('/feedback'), list = kinds.map(mark => make('button', { className: 'mark', textContent: mark.replace('-', ' ') }));
  let { mark, image } = said;
  const press = () => list.forEach((b, i) => b.setAttribute('aria-pressed', String(kinds[i] === mark)));
  list.forEach((b, i) => {
    b.title = kinds[i] === 'miss' ? 'it has a defect: press to say so, and again to take it back' : 'it is good: press to say so, and again to take it back';
    b.onclick = trying(async () => {
      if (kinds[i] === mark) {
        await ask(where + '/' + image, { method: 'DELETE' });
        mark = null;
      } else {
        const [kept] = [await (await send(where + '?mark=' + kinds[i])).json()].flat();
        if (kept.error) throw new Error(kept.error);
        ({ mark, image } = kept);
      }
      press();
    });
  });
  press();
  return list;
}

// count says how many of the recent images the slider's threshold would reject.
function count() {
  const m = current(), scores = recent.scores.map(s => s.score);
  const own = m && m.threshold, t = level ?? own;
  const top = Math.max(...scores, own ?? 0, 1e-6) * 1.1;
  if (t != null && level === null) $('threshold').value = t / top * 1000;
  $('threshold').disabled = !scores.length;
  $('threshold').dataset.top = top;
  $('level').textContent = t == null ? 'none' : short(t);
  const over = scores.filter(s => t != null && s > t).length;
  $('count').textContent = scores.length ? `${over} of the last ${scores.length} images are above it (${(100 * over / scores.length).toFixed(1)} %)` : 'no images yet';
  const ns = 'http://www.w3.org/2000/svg';
  const draw = (tag, attributes) => { const e = document.createElementNS(ns, tag); for (const k in attributes) e.setAttribute(k, attributes[k]); return e; };
  const svg = draw('svg', { viewBox: '0 0 500 130', role: 'img', 'aria-label': 'scores, the newest to the right', preserveAspectRatio: 'none' });
  const shown = scores.slice(-250);
  shown.forEach((s, i) => svg.append(draw('circle', { cx: 4 + 492 * (shown.length > 1 ? i / (shown.length - 1) : .5), cy: 126 - 122 * s / top, r: 2.5, class: t != null && s > t ? 'over' : '' })));
  if (t != null) svg.append(draw('line', { x1: 0, x2: 500, y1: 126 - 122 * t / top, y2: 126 - 122 * t / top }));
  $('chart').replaceChildren(svg);
}

// judge asks about one picture and shows it, plain and marked.
async function judge(file, name) {
  const li = make('li', {}, make('div', { className: 'said' }, make('p', { textContent: 'judging ' + name })));
  $('results').prepend(li);
  while ($('results').children.length > 24) $('results').lastChild.remove();
  try {
    const m = current();
    const form = new FormData();
    form.append('image', file, name);
    const wrong = { anomalous: ['false-alarm'], reject: ['false-alarm'], good: ['miss'], accept: ['miss'] };
    const draw = !m.maps ? '' : '?draw=' + (m.threshold === null ? 'heatmap' : 'overlay');
    const [f] = await (await ask(path('/images' + draw), { method: 'POST', body: form })).json();
    if (f.error) throw new Error(f.error);
    const word = f.verdict ?? (f.anomalous === null ? 'no verdict' : f.anomalous ? 'anomalous' : 'good');
    const plain = make('img', { className: 'plain', alt: name, src: URL.createObjectURL(file) });
    const view = make('button', { className: 'view', title: 'press to see the image with and without marks' }, plain);
    view.setAttribute('aria-pressed', 'false');
    li.className = word;
    li.replaceChildren(view, make('div', { className: 'said' },
      make('p', {}, make('b', { textContent: word }), ` score ${short(f.score)}` + (f.threshold === null ? '' : `, threshold ${short(f.threshold)}`)),
      make('p', { className: 'soft', textContent: f.regions.map(r => `${r.w}×${r.h} at ${r.x},${r.y}`).slice(0, 4).join(' · ') }),
      make('p', { className: 'name', textContent: name, title: name }),
      ...marks(wrong[word] ?? ['false-alarm', 'miss'], where => ask(where, { method: 'POST', body: form }))));
    if (f.picture) {
      view.append(make('img', { className: 'marked', alt: name + ', marked', src: 'data:image/png;base64,' + f.picture }));
      view.setAttribute('aria-pressed', String(f.anomalous === true));
      view.onclick = () => view.setAttribute('aria-pressed', String(view.getAttribute('aria-pressed') !== 'true'));
    }
  } catch (e) {
    li.className = 'failed';
    li.replaceChildren(make('div', { className: 'said' }, make('p', {}, make('b', { textContent: 'failed' })), make('p', { textContent: e.message }), make('p', { className: 'name', textContent: name })));
  }
}
const judgeAll = trying(async files => { for (const f of files) await judge(f, f.name || 'picture'); await look(); });

let stream = null;
const stopCamera = () => { stream?.getTracks().forEach(t => t.stop()); stream = null; $('live').hidden = true; $('drop').hidden = false; };
const shoot = () => {
  const canvas = make('canvas', { width: $('video').videoWidth, height: $('video').videoHeight });
  canvas.getContext('2d').drawImage($('video'), 0, 0);
  canvas.toBlob(b => judgeAll([new File([b], new Date().toISOString() + '.png', { type: 'image/png' })]), 'image/png');
};
$('camera').onclick = trying(async () => {
  if (!navigator.mediaDevices) throw new Error('browsers give a camera to https and this machine alone: serve with --tls-cert');
  stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
  $('video').srcObject = stream;
  await $('video').play();
  $('drop').hidden = true;
  $('live').hidden = false;
  $('shoot').focus();
});
$('shoot').onclick = shoot;
$('stop').onclick = stopCamera;
$('choose').onclick = () => $('files').click();
$('files').onchange = e => { judgeAll([...e.target.files]); };
for (const kind of ['dragover', 'dragleave', 'drop']) addEventListener(kind, e => {
  e.preventDefault();
  $('drop').classList.toggle('over', kind === 'dragover');
  if (kind === 'drop') judgeAll([...e.dataTransfer.files]);
});
addEventListener('paste', e => { if (e.clipboardData.files.length) judgeAll([...e.clipboardData.files]); });
addEventListener('keydown', e => {
  if (!stream) return;
  if (e.key === 'Escape') stopCamera();
  if (e.key === ' ' && document.activeElement.tagName !== 'BUTTON') { e.preventDefault(); shoot(); }
});
$('threshold').oninput = e => { level = e.target.value / 1000 * e.target.dataset.top; count(); };
$('reset').onclick = () => { level = null; count(); };
$('model').onchange = trying(async () => { level = null; recent = { scores: [], rejects: [] }; await look(); });
for (const [id, run] of [['newest', () => post('/use', { version: '' })], ['rollback', () => post('/rollback')], ['promote', () => post('/shadow/promote')],
  ['unshadow', () => ask(path('/shadow'), { method: 'DELETE' })]]) $(id).onclick = trying(async () => { await run(); await look(); });
$('login').onsubmit = e => { e.preventDefault(); sessionStorage.setItem('token', $('token').value); $('token').value = ''; trying(look)(); };
trying(look)();
setInterval(() => { if (!document.hidden) look().catch(notice); }, 3000);
