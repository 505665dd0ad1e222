/** Look of the report: one style sheet, both themes as variables, nothing loaded from elsewhere. */
const light = `--bg:#f6f6f3;--card:#fff;--ink:#1b1d20;--muted:#666b73;--line:#e4e4df;--soft:#f0f0ec;
--c0:#8a9099;--c1:#2868d8;--c2:#0b8f7d;--c3:#d9730d;--c4:#8452cf;--c5:#c9304a;--c6:#6d8b12;
--good:#0f7553;--goodbg:#e2f4ec;--bad:#c02740;--badbg:#fbe6e9;--warn:#9a5b00;--warnbg:#fcf0d9`

const dark = `--bg:#111316;--card:#191c20;--ink:#e9eaec;--muted:#9aa0a9;--line:#2a2e34;--soft:#22262b;
--c0:#7f8691;--c1:#6ea3ff;--c2:#3fc9b3;--c3:#f3a24c;--c4:#b78df5;--c5:#ff7587;--c6:#b1ce50;
--good:#5fd7ab;--goodbg:#15332a;--bad:#ff8091;--badbg:#3d1c23;--warn:#f2bd5c;--warnbg:#392b12`

/** Colours by name, of the report and of the console. */
export const palette = `:root{color-scheme:light dark;${light}}
@media (prefers-color-scheme:dark){:root{${dark}}}`

export const style = `${palette}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1180px;margin:0 auto;padding:34px 24px 60px}
header .brand{color:var(--muted);font-size:13px;letter-spacing:.02em;display:flex;gap:14px;flex-wrap:wrap;align-items:center}
header .brand b{color:var(--ink)}
h1{font-size:30px;line-height:1.2;margin:14px 0 8px;letter-spacing:-.02em;display:flex;gap:14px;align-items:center;flex-wrap:wrap}
h2{font-size:18px;margin:38px 0 12px;letter-spacing:-.01em}
.lead{font-size:17px;color:var(--muted);max-width:70ch;margin:0}
.badge{font-size:14px;font-weight:650;letter-spacing:0;padding:4px 12px;border-radius:999px}
.passed{color:var(--good);background:var(--goodbg)}.failed{color:var(--bad);background:var(--badbg)}.invalid{color:var(--warn);background:var(--warnbg)}
.notice{margin:18px 0 0;padding:12px 16px;border-radius:10px;background:var(--warnbg);color:var(--warn)}
.notice.failed{background:var(--badbg);color:var(--bad)}
.notice ul{margin:4px 0 0;padding-left:18px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:12px;margin:26px 0 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;margin:0;padding:16px 18px}
.tile small{display:block;color:var(--muted);font-size:13px}
.tile strong{display:block;font-size:26px;line-height:1.25;letter-spacing:-.02em;font-weight:650;margin-top:2px}
.tile span{color:var(--muted);font-size:13px}
.grid2{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:12px;align-items:start}
@media (max-width:860px){.grid2{grid-template-columns:minmax(0,1fr)}}
figcaption b{display:block;font-size:15px}
figcaption small{display:block;color:var(--muted);font-size:13px;min-height:1.5em}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 16px;margin:8px 0 4px;padding:0;font-size:13px;color:var(--muted)}
.k{display:inline-block;width:14px;height:0;border-top:3px solid var(--c);border-radius:2px;margin-right:6px;vertical-align:middle}
.k.dash{border-top-style:dotted;border-radius:0}
.plot{position:relative}
.plot svg{display:block;width:100%;height:auto;overflow:visible}
.grid{stroke:var(--line);stroke-width:1}
.tick{fill:var(--muted);font-size:12px}
.line{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.line.dash{stroke-dasharray:2 5}
.area{fill:var(--c);opacity:.12}.dot{fill:var(--c)}
.mark{stroke:var(--bad);stroke-width:1;stroke-dasharray:5 4}.marktext{fill:var(--bad);font-size:12px;paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}
@media (max-width:560px){.tick,.marktext{font-size:18px}}
.cursor{position:absolute;top:0;bottom:11%;width:1px;background:var(--muted);opacity:.5;pointer-events:none}
.tip{position:absolute;top:4px;pointer-events:none;background:var(--card);border:1px solid var(--line);border-radius:8px;box-shadow:0 4px 18px #0003;padding:6px 10px;font-size:12.5px;white-space:nowrap;z-index:2}
.tip b{display:block;color:var(--muted);font-weight:500}
.stages{display:grid;grid-template-columns:max-content 1fr max-content max-content;gap:8px 16px;align-items:center}
.stages .bar{background:var(--soft);border-radius:5px;height:18px;overflow:hidden}
.stages .bar i{display:block;height:100%;background:var(--c1);border-radius:5px;min-width:2px}
.stages .num{text-align:right;font-weight:600}.stages .diff{color:var(--muted);font-size:13px;min-width:12ch}
.stages .diff.bad{color:var(--bad)}
@media (max-width:640px){.stages{grid-template-columns:max-content 1fr max-content}.stages .diff{display:none}}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th{font-weight:500;color:var(--muted);text-align:left;font-size:13px}
th,td{padding:7px 12px 7px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
td.n,th.n{text-align:right;white-space:nowrap}
td.ok{color:var(--good)}td.no{color:var(--bad)}
details.card{margin-top:12px}summary{cursor:pointer;font-weight:600}
code{font:12.5px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.muted{color:var(--muted)}
footer{margin-top:34px;color:var(--muted);font-size:13px;max-width:80ch}
@media print{body{background:#fff}.card{break-inside:avoid}}`

/** Shows values under the pointer; without it the report is complete, only quieter. */
export const script = `for(const plot of document.querySelectorAll('[data-plot]')){
const series=JSON.parse(plot.dataset.plot),svg=plot.querySelector('svg');let cursor,tip;
const leave=()=>{cursor?.remove();tip?.remove();cursor=tip=undefined};
plot.addEventListener('pointerleave',leave);
plot.addEventListener('pointermove',event=>{
const box=svg.getBoundingClientRect(),scale=box.width/640,x=(event.clientX-box.left)/scale;
let near=Infinity,at=0,label='';
for(const {at:points} of series)for(const p of points){const d=Math.abs(p[0]-x);if(d<near){near=d;at=p[0];label=p[2]}}
if(!cursor){cursor=document.createElement('div');cursor.className='cursor';tip=document.createElement('div');tip.className='tip';plot.append(cursor,tip)}
cursor.style.left=at*scale+'px';tip.replaceChildren();
const head=document.createElement('b');head.textContent=label;tip.append(head);
for(const {name,color,at:points} of series){let best;for(const p of points)if(!best||Math.abs(p[0]-at)<Math.abs(best[0]-at))best=p;
if(!best||Math.abs(best[0]-at)>12)continue;
const row=document.createElement('div'),key=document.createElement('i');key.className='k';key.style.setProperty('--c','var(--c'+color+')');row.append(key,name+'  '+best[3]);tip.append(row)}
const left=at*scale,room=box.width-tip.offsetWidth,beside=left>box.width*0.6?left-12-tip.offsetWidth:left+12;
tip.style.left=Math.max(0,Math.min(beside,room))+'px'})}`
