// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace fovea::apps {

/// The style sheet of report.html. Inks: recorded, model, baseline, ceiling, and run-0 … run-5 for
/// comparisons.
inline constexpr const char* kReportStyle = R"css(
:root{color-scheme:light dark;
 --page:#f7f6f2;--card:#ffffff;--text:#1c2127;--soft:#626a75;--rule:#e4e2da;--faint:#efede6;
 --model:#1f66d6;--baseline:#c26a12;--recorded:#3b424c;--ceiling:#7c8490;--warn-bg:#fdf3dc;--warn:#7a5200;
 --run-0:#1f66d6;--run-1:#c26a12;--run-2:#178a5b;--run-3:#a63d8f;--run-4:#7a6a00;--run-5:#c23b3b;
 --positive:#e4572e;--negative:#2f74d0}
@media (prefers-color-scheme:dark){:root{
 --page:#0f1216;--card:#171b21;--text:#e5e8ec;--soft:#9aa3af;--rule:#2b313a;--faint:#20252d;
 --model:#6aa9ff;--baseline:#f0a050;--recorded:#c3c9d2;--ceiling:#8e97a4;--warn-bg:#2d2512;--warn:#f0c66b;
 --run-0:#6aa9ff;--run-1:#f0a050;--run-2:#55c99a;--run-3:#df8bcb;--run-4:#cdbb3d;--run-5:#f08080}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--page);color:var(--text);
 font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:0 20px 64px}
header{padding:44px 0 8px}
h1{font-size:clamp(1.7rem,4.5vw,2.5rem);line-height:1.15;letter-spacing:-.02em;margin:.1em 0 .3em;text-wrap:balance}
h2{font-size:1.35rem;letter-spacing:-.01em;margin:56px 0 4px;padding-top:8px}
h3{font-size:1rem;margin:0}
.eyebrow{color:var(--soft);font-size:.85rem;display:flex;gap:10px;align-items:center;margin:0;overflow-wrap:anywhere}
.eyebrow svg{width:26px;height:26px;flex:none;color:var(--model)}
.lead{font-size:1.08rem;max-width:70ch;margin:.2em 0 1em}
.intro{color:var(--soft);max-width:75ch;margin:0 0 14px}
.badge{display:inline-block;background:var(--warn-bg);color:var(--warn);border-radius:6px;padding:4px 10px;font-size:.88rem}
nav{display:flex;flex-wrap:wrap;gap:6px 18px;margin:18px 0 0;font-size:.92rem}
a{color:var(--model);text-decoration:none}a:hover{text-decoration:underline}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:26px 0 0}
.tile{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:14px 16px}
.tile b{display:block;font-size:2rem;line-height:1.15;font-weight:650;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:.86rem;line-height:1.35;display:block}
.tile .ink-model{color:var(--model)}.tile .ink-baseline{color:var(--baseline)}.tile .ink-ceiling{color:var(--ceiling)}
figure{margin:14px 0;background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:18px 20px 14px;min-width:0}
figcaption{color:var(--soft);font-size:.88rem;line-height:1.5;margin-top:12px;max-width:90ch}
figcaption b{color:var(--text);font-weight:600}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:0 16px;align-items:stretch}
.plot{--left:46px;padding-left:var(--left);padding-right:10px}
.plot.bars{--left:min(var(--label),34%)}
.plot svg{display:block;width:100%;overflow:visible}
.plot .frame{margin-bottom:46px}
.plot .frame>svg{position:static;overflow:hidden}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:.84rem;margin:0 0 8px calc(-1*var(--left))}
.plot.bars .legend{margin-left:0}
.key{display:inline-flex;align-items:center;gap:6px;white-space:nowrap}
.key i{display:inline-block;width:18px;height:0;border-top:2.5px solid var(--ink)}
.key i.dashed{border-top-style:dashed;border-top-width:2px}
.key i.swatch{width:12px;height:12px;border:0;border-radius:3px;background:var(--ink);opacity:.85}
.key i.pale{opacity:.3}
.key i.mark{width:0;height:13px;border:0;border-left:2.5px solid var(--ink);margin:0 4px}
.y-label{margin:0 0 9px calc(-1*var(--left));font-size:.8rem;color:var(--soft);line-height:1.2}
.num,.axis{font-size:12px;fill:var(--soft);font-variant-numeric:tabular-nums}
.label{font-size:13px;fill:var(--text)}
.grid{stroke:var(--rule);stroke-width:1}.grid.zero{stroke:var(--ceiling)}
.line{fill:none;stroke:var(--ink);vector-effect:non-scaling-stroke;stroke-linejoin:round;stroke-linecap:round}
.line.dashed{stroke-dasharray:6 5}
.band{fill:var(--ink);opacity:.2;stroke:none}
.spikes{fill:none;stroke:var(--recorded);stroke-width:1.3px;vector-effect:non-scaling-stroke;opacity:.85}
.raster{margin-bottom:10px}
.bar{fill:var(--ink)}.mark{stroke:var(--ink);stroke-width:2.5}
.ink-model{--ink:var(--model)}.ink-baseline{--ink:var(--baseline)}.ink-recorded{--ink:var(--recorded)}
.ink-ceiling{--ink:var(--ceiling)}.ink-run-0{--ink:var(--run-0)}.ink-run-1{--ink:var(--run-1)}
.ink-run-2{--ink:var(--run-2)}.ink-run-3{--ink:var(--run-3)}.ink-run-4{--ink:var(--run-4)}.ink-run-5{--ink:var(--run-5)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th{font-weight:600;color:var(--soft);font-size:.82rem;text-align:right;padding:4px 0 8px 14px;border-bottom:1px solid var(--rule);vertical-align:bottom}
td{text-align:right;padding:7px 0 7px 14px;border-bottom:1px solid var(--faint)}
th:first-child,td:first-child{text-align:left;padding-left:0}
tr.mean td{font-weight:650;border-bottom:0;border-top:1px solid var(--rule)}
td.best{color:var(--model);font-weight:600}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,400px),1fr));gap:14px;margin:14px 0}
.card{margin:0;padding:14px 16px 12px}
.card .top{display:flex;justify-content:space-between;gap:10px;align-items:baseline;margin-bottom:10px;font-size:.86rem;color:var(--soft)}
.card .top h3{color:var(--text)}
.card .two{display:grid;grid-template-columns:minmax(96px,30%) 1fr;gap:18px;align-items:start}
.card .plot{--left:6px;padding-right:6px}.card .frame{margin-bottom:42px}
.card .plot .num[text-anchor=end]{display:none}
.heat{display:block;width:100%;height:auto;aspect-ratio:1;object-fit:fill;image-rendering:pixelated;border:1px solid var(--rule);border-radius:5px}
.strip{display:grid;grid-template-columns:repeat(8,1fr);gap:6px;margin-top:8px}
.strip div{font-size:10px;color:var(--soft);text-align:center;line-height:1.5;font-variant-numeric:tabular-nums}
.strip .heat{border-radius:3px}
.card>.note{font-size:.78rem;color:var(--soft);margin:6px 0 0}
.scale{display:flex;align-items:center;gap:8px;font-size:.84rem;color:var(--soft);margin:0 0 4px}
.scale i{width:150px;height:10px;border-radius:5px;border:1px solid var(--rule);
 background:linear-gradient(90deg,var(--negative),transparent 50%,var(--positive))}
details{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:12px 20px;margin:14px 0}
summary{cursor:pointer;font-weight:600}
dl{display:grid;grid-template-columns:minmax(120px,max-content) 1fr;gap:4px 22px;margin:12px 0 4px;font-size:.9rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.settings dt,.settings dd,.facts dd{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.84rem}
footer{color:var(--soft);font-size:.84rem;margin-top:48px;border-top:1px solid var(--rule);padding-top:14px}
article+article{border-top:2px solid var(--rule);margin-top:64px}
@media (max-width:560px){main{padding:0 14px 40px}header{padding-top:26px}figure{padding:14px 12px 12px}
 .tiles{grid-template-columns:1fr 1fr}.tile b{font-size:1.6rem}.card{padding:12px 14px}details{padding:12px 14px}
 dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}h2{margin-top:42px}.plot{--left:40px}}
@media print{body{background:#fff}figure,.card{break-inside:avoid}nav{display:none}}
)css";

}  // namespace fovea::apps
