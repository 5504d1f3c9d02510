// The pages of a gateway's local store. Everything shown comes from telemetry, which anybody may have written: it gets
// into the page as text nodes and attribute values only, never as markup.
'use strict';

const view = document.getElementById('view');
const status = document.getElementById('status');

// --- Small things ----------------------------------------------------------------------------------------------------

const SVG = new Set(['svg', 'g', 'path', 'line', 'circle', 'rect', 'text', 'title']);

// An element: h('td', {class: 'num'}, 'text', child, ...). Keys beginning with "on" are listeners.
function h(tag, attributes = {}, ...children) {
  const element =
      SVG.has(tag) ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on'))
      element.addEventListener(key.slice(2), value);
    else if (key === 'style')
      Object.assign(element.style, value);
    else
      element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

// Colours far apart for neighbours, none of them red, which means error.
function shade(index) {
  return `hsl(${25 + (index * 137.5) % 310} ${index % 2 ? 52 : 65}% ${index % 3 ? 50 : 58}%)`;
}
const known = new Map();
// A service keeps its colour as long as the page is open.
function colour(service) {
  if (!known.has(service)) known.set(service, known.size);
  return shade(known.get(service));
}
function dot(name) {
  return h('span', {class: 'dot', style: {background: colour(name)}});
}
function chip(name, note) {
  return h(
      'span', {class: 'chip', title: name}, dot(name), name || '(no service)',
      note ? h('span', {class: 'soft'}, note) : null);
}

const nanos = (text) => BigInt(text || 0);
const toMillis = (ns) => Number(ns / 1000n) / 1000;
function duration(ms) {
  if (ms >= 60000) return `${(ms / 60000).toFixed(1)} min`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms >= 1) return `${ms.toFixed(ms < 10 ? 2 : 1)} ms`;
  return `${Math.round(ms * 1000)} µs`;
}
function clock(ns) {
  const date = new Date(toMillis(ns));
  if (ns === 0n || isNaN(date)) return '–';
  const time = date.toTimeString().slice(0, 8) + '.' + String(date.getMilliseconds()).padStart(3, '0');
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString('sv')} ${time}`;
}
function ago(ns) {
  const seconds = Math.max(0, Date.now() / 1000 - toMillis(ns) / 1000);
  if (seconds < 60) return `${Math.round(seconds)} s ago`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  return `${(seconds / 3600).toFixed(1)} h ago`;
}
function number(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return `${(value / 1e9).toPrecision(3)} G`;
  if (size >= 1e6) return `${(value / 1e6).toPrecision(3)} M`;
  if (size >= 1e4) return `${(value / 1e3).toPrecision(3)} k`;
  return String(Number(value.toPrecision(4)));
}

// An OTLP AnyValue as text.
function anyText(value) {
  if (!value) return '';
  for (const kind of ['stringValue', 'intValue', 'doubleValue', 'boolValue', 'bytesValue']) {
    if (kind in value) return String(value[kind]);
  }
  if (value.arrayValue) return `[${(value.arrayValue.values || []).map(anyText).join(', ')}]`;
  if (value.kvlistValue)
    return `{${
        (value.kvlistValue.values || []).map((pair) => `${pair.key || ''}: ${anyText(pair.value)}`).join(', ')}}`;
  return '';
}
function attribute(attributes, key) {
  const found = (attributes || []).find((pair) => pair.key === key);
  return found ? anyText(found.value) : '';
}
function attributeText(attributes) {
  return (attributes || []).map((pair) => `${pair.key || ''}=${anyText(pair.value)}`).join(' ');
}
function attributeList(title, attributes) {
  if (!attributes || attributes.length === 0) return [];
  const rows = attributes.flatMap(
      (pair) => [h('dt', {class: 'mono'}, pair.key || ''), h('dd', {class: 'mono'}, anyText(pair.value))]);
  return [h('h3', {}, title), h('dl', {}, rows)];
}

// --- Data and navigation ---------------------------------------------------------------------------------------------

class Missing extends Error {}

async function ask(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters))
    if (value) query.set(key, value);
  const text = query.toString();
  const response = await fetch(text ? `${path}?${text}` : path);
  const json = await response.json();
  if (response.status === 404) throw new Missing(json.error);
  if (!response.ok) throw new Error(json.error || response.statusText);
  return {json, complete: response.headers.get('tributary-complete') !== 'false'};
}

// "#/logs?service=cart" is the page logs with the parameter service.
function here() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const [page, ...rest] = path.split('/');
  return {
    page: page || 'traces',
    rest: rest.join('/'),
    parameters: Object.fromEntries(new URLSearchParams(query || ''))
  };
}
function link(page, parameters = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters))
    if (value) query.set(key, value);
  const text = query.toString();
  return `#/${page}${text ? '?' + text : ''}`;
}
function change(parameters) {
  const now = here();
  location.hash = link(now.page, {...now.parameters, ...parameters});
}

async function serviceNames() {
  return (await ask('api/services')).json.services.map((service) => service.name);
}
function servicePicker(names, chosen) {
  return h(
      'label', {}, 'Service',
      h('select', {onchange: (event) => change({service: event.target.value})}, h('option', {value: ''}, 'all'),
        names.map((name) => h('option', {value: name, ...(name === chosen ? {selected: ''} : {})}, name))));
}
function field(label, key, value, attributes = {}) {
  return h(
      'label', {}, label,
      h('input', {value: value || '', ...attributes, onchange: (event) => change({[key]: event.target.value.trim()})}));
}
function table(headings, rows, empty) {
  if (rows.length === 0) return h('div', {class: 'card empty'}, empty);
  const head = headings.map(([text, kind]) => h('th', {class: kind || null}, text));
  return h('div', {class: 'card'}, h('table', {}, h('thead', {}, h('tr', {}, head)), h('tbody', {}, rows)));
}

// Each page is a function from where we are to what to show.

// --- Traces ----------------------------------------------------------------------------------------------------------

async function traces({parameters}) {
  const [names, answer] = await Promise.all([serviceNames(), ask('api/traces', {limit: 100, ...parameters})]);
  const list = answer.json.traces.map(
      (trace) => ({...trace, start: nanos(trace.startTimeUnixNano), ms: toMillis(nanos(trace.durationNano))}))
                   .sort((a, b) => (a.start > b.start ? -1 : a.start < b.start ? 1 : 0));
  const longest = Math.max(...list.map((trace) => trace.ms), 0.001);
  const rows = list.map((trace) => {
    const go = () => {
      location.hash = `#/trace/${trace.traceId}`;
    };
    return h(
        'tr', {class: 'go', onclick: go}, h('td', {class: 'time'}, clock(trace.start)),
        h('td', {class: 'wrap'}, h('a', {href: `#/trace/${trace.traceId}`}, h('b', {}, trace.name || '(no name)')),
          h('div', {}, chip(trace.service))),
        h('td', {},
          trace.services.filter((service) => service.name !== trace.service)
              .map((service) => chip(service.name, `${service.spans}`))),
        h('td', {class: 'num'}, String(trace.spans)),
        h('td', {class: 'num'},
          trace.errors ? h('span', {class: 'badge bad'}, `${trace.errors} ${trace.errors === 1 ? 'error' : 'errors'}`) :
                         ''),
        h('td', {class: 'num wide'}, duration(trace.ms),
          h('div', {class: 'meter', style: {width: `${100 * trace.ms / longest}%`}})));
  });
  return [
    h('div', {class: 'bar'}, servicePicker(names, parameters.service),
      field('Slower than', 'min_duration', parameters.min_duration, {placeholder: '100ms', size: 7}),
      h('label', {}, h('input', {
          type: 'checkbox',
          ...(parameters.errors ? {checked: ''} : {}),
          onchange: (event) => change({errors: event.target.checked ? 'true' : ''})
        }),
        'Errors only'),
      h('label', {}, 'Trace id', h('input', {
          size: 34,
          class: 'mono',
          onchange: (event) => {
            location.hash = `#/trace/${event.target.value.trim().toLowerCase()}`;
          }
        })),
      h('span', {class: 'soft'}, `${list.length}${answer.complete ? '' : ' newest'} traces`)),
    list.length > 1 ? h('div', {class: 'card pad'}, scatter(list, longest)) : null,
    table(
        [['Started'], ['Trace'], ['Other services, spans'], ['Spans', 'num'], ['', 'num'], ['Duration', 'num']], rows,
        Object.keys(parameters).length ? 'No traces match.' :
                                         'No traces yet. Send OTLP to this gateway and they appear here.')
  ];
}

// When and how long: one dot a trace.
function scatter(list, longest) {
  const [width, height, left, bottom] = [1200, 120, 66, 18];
  const times = list.map((trace) => toMillis(trace.start));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const x = (time) => left + (width - left - 12) * (last > first ? (time - first) / (last - first) : 0.5);
  const y = (ms) => (height - bottom) - (height - bottom - 10) * Math.sqrt(ms / longest);
  const dots = list.map(
      (trace, i) =>
          h('circle', {
            cx: x(times[i]),
            cy: y(trace.ms),
            r: 4,
            class: 'go',
            fill: trace.errors ? 'var(--bad)' : 'var(--accent)',
            'fill-opacity': trace.errors ? 0.9 : 0.55,
            style: {cursor: 'pointer'},
            onclick: () => {
              location.hash = `#/trace/${trace.traceId}`;
            }
          },
            h('title', {}, `${trace.name} · ${duration(trace.ms)}`)));
  return h(
      'svg', {class: 'plot', viewBox: `0 0 ${width} ${height}`},
      [1, 0.25, 0].map(
          (part) =>
              [h('line', {class: 'axis', x1: left, x2: width - 12, y1: y(part * longest), y2: y(part * longest)}),
               h('text', {x: left - 8, y: y(part * longest) + 4, 'text-anchor': 'end'}, duration(part * longest))]),
      h('text', {x: left, y: height - 2}, clock(BigInt(Math.round(first)) * 1000000n)),
      h('text', {x: width - 12, y: height - 2, 'text-anchor': 'end'}, clock(BigInt(Math.round(last)) * 1000000n)),
      dots);
}

const KINDS = ['', 'internal', 'server', 'client', 'producer', 'consumer'];

function flattenSpans(request) {
  const spans = [];
  for (const container of request.resourceSpans || []) {
    const resource = (container.resource || {}).attributes;
    for (const scope of container.scopeSpans || []) {
      for (const span of scope.spans || []) {
        const start = nanos(span.startTimeUnixNano);
        const end = nanos(span.endTimeUnixNano);
        spans.push({
          ...span,
          start,
          end: end > start ? end : start,
          resource,
          scope: scope.scope || {},
          service: attribute(resource, 'service.name'),
          error: (span.status || {}).code === 2,
          children: []
        });
      }
    }
  }
  return spans;
}

// Parents before children, each level by start. Ids may repeat, be missing or form a circle: every span comes once.
function inTreeOrder(spans) {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const roots = [];
  for (const span of spans) {
    const parent = byId.get(span.parentSpanId);
    (parent && parent !== span ? parent.children : roots).push(span);
  }
  const byStart = (a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0);
  const ordered = [];
  const seen = new Set();
  const walk = (from) => {
    const stack = [{span: from, depth: 0}];
    while (stack.length) {
      const {span, depth} = stack.pop();
      if (seen.has(span)) continue;
      seen.add(span);
      ordered.push({span, depth});
      for (const child of span.children.sort(byStart).reverse()) stack.push({span: child, depth: depth + 1});
    }
  };
  roots.sort(byStart).forEach(walk);
  spans.forEach(walk);  // what is left belongs to circles
  return ordered;
}

async function trace({rest: id}) {
  const [answer, logAnswer] =
      await Promise.all([ask(`api/traces/${encodeURIComponent(id)}`), ask('api/logs', {trace_id: id})]);
  const ordered = inTreeOrder(flattenSpans(answer.json));
  const starts = ordered.map(({span}) => span.start).filter((start) => start > 0n);
  const from = starts.reduce((a, b) => (b < a ? b : a), starts[0] || 0n);
  const to = ordered.reduce((latest, {span}) => (span.end > latest ? span.end : latest), from);
  const total = Math.max(toMillis(to - from), 0.001);
  const root = ordered[0].span;
  const errors = ordered.filter(({span}) => span.error).length;
  const services = [...new Set(ordered.map(({span}) => span.service))];
  const rows = ordered.flatMap(({span, depth}) => {
    const offset = 100 * toMillis(span.start > from ? span.start - from : 0n) / total;
    const width = 100 * toMillis(span.end - span.start) / total;
    const more = h('div', {class: 'more', hidden: ''});
    const open = () => {
      if (!more.hasChildNodes()) more.append(...spanDetails(span));
      more.hidden = !more.hidden;
    };
    return [
      h('div', {class: span.error ? 'span error' : 'span', onclick: open},
        h('div', {
          class: 'name',
          style: {paddingLeft: `${14 + 14 * Math.min(depth, 16)}px`},
          title: `${span.service} · ${span.name || ''}`
        },
          dot(span.service),
          h('span', {}, h('b', {}, span.name || '(no name)'), ' ', h('span', {class: 'soft'}, span.service))),
        h('div', {class: 'lane'}, h('i', {
            style: {
              left: `${Math.min(offset, 99.9)}%`,
              width: `${width}%`,
              background: span.error ? 'var(--bad)' : colour(span.service)
            }
          }),
          h('em', {style: {left: `${Math.min(offset + width, 100)}%`}}, duration(toMillis(span.end - span.start))))),
      more
    ];
  });
  const logs = flattenLogs(logAnswer.json);
  return [
    h('h1', {}, `${root.service ? root.service + ' · ' : ''}${root.name || '(no name)'}`),
    h('p', {class: 'sub'}, h('span', {class: 'mono'}, id),
      ` · ${clock(from)} · ${duration(total)} · ${ordered.length} spans`, answer.complete ? '' : ' (not all)',
      errors ? ' · ' : '',
      errors ? h('span', {class: 'badge bad'}, `${errors} ${errors === 1 ? 'error' : 'errors'}`) : ''),
    h('div', {class: 'bar'}, services.map((name) => chip(name))),
    h('div', {class: 'card'},
      h('div', {class: 'ruler'}, h('div', {}, 'Span'),
        h('div', {}, [0, 0.25, 0.5, 0.75, 1].map((part) => h('span', {}, duration(total * part))))),
      rows),
    logs.length ? h('h1', {style: {margin: '22px 0 8px'}}, 'Logs of this trace') : null,
    logs.length ? logTable(logs, id) : null
  ];
}

function spanDetails(span) {
  const facts = [
    ['span id', span.spanId], ['parent', span.parentSpanId], ['kind', KINDS[span.kind || 0]],
    ['started', clock(span.start)], ['status', ['', 'ok', 'error'][(span.status || {}).code || 0]],
    ['message', (span.status || {}).message],
    ['scope', [span.scope.name, span.scope.version].filter(Boolean).join(' ')], ['trace state', span.traceState]
  ];
  return [
    h('dl', {},
      facts.filter(([, value]) => value).flatMap(([key,
                                                   value]) => [h('dt', {}, key), h('dd', {class: 'mono'}, value)])),
    ...attributeList('Attributes', span.attributes),
    ...(span.events || [])
        .flatMap(
            (event) =>
                [h('h3', {},
                   `Event ${event.name || ''} at ${
                       duration(Math.max(0, toMillis(nanos(event.timeUnixNano) - span.start)))}`),
                 h('dl', {},
                   (event.attributes || [])
                       .flatMap(
                           (pair) =>
                               [h('dt', {class: 'mono'}, pair.key || ''),
                                h('dd', {class: 'mono'}, anyText(pair.value))]))]),
    ...(span.links || [])
        .map(
            (other) =>
                h('h3', {}, 'Link to ',
                  h('a', {href: `#/trace/${encodeURIComponent(other.traceId || '')}`}, other.traceId || ''))),
    ...attributeList('Resource', span.resource)
  ];
}

// --- Logs ------------------------------------------------------------------------------------------------------------

const SEVERITIES =
    [['', 'all'], ['5', 'debug and up'], ['9', 'info and up'], ['13', 'warn and up'], ['17', 'error and up']];

function flattenLogs(request) {
  const logs = [];
  for (const container of request.resourceLogs || []) {
    const resource = (container.resource || {}).attributes;
    for (const scope of container.scopeLogs || []) {
      for (const record of scope.logRecords || []) {
        logs.push({
          ...record,
          resource,
          service: attribute(resource, 'service.name'),
          time: nanos(record.timeUnixNano || record.observedTimeUnixNano)
        });
      }
    }
  }
  return logs.sort((a, b) => (a.time > b.time ? -1 : a.time < b.time ? 1 : 0));
}

function severity(record) {
  const level = record.severityNumber || 0;
  const name = record.severityText ||
      ['', 'TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'][Math.ceil(Math.min(level, 24) / 4)] || '';
  return name ? h('span', {class: level >= 17 ? 'badge bad' : level >= 13 ? 'badge warn' : 'badge'}, name) : '';
}

// `shown`: the trace that is being looked at, to which no record need lead.
function logTable(logs, shown) {
  const rows = logs.flatMap((record) => {
    const more = h('tr', {hidden: ''}, h('td', {colspan: 5, style: {padding: 0}}));
    const open = () => {
      if (!more.firstChild.hasChildNodes()) {
        more.firstChild.append(
            h('div', {class: 'more'},
              ...attributeList(
                  'Attributes',
                  [
                    ...(record.eventName ? [{key: 'event name', value: {stringValue: record.eventName}}] : []),
                    ...(record.attributes || [])
                  ]),
              ...attributeList('Resource', record.resource)));
      }
      more.hidden = !more.hidden;
    };
    return [
      h('tr', {class: 'go', onclick: open}, h('td', {class: 'time'}, clock(record.time)), h('td', {}, severity(record)),
        h('td', {}, chip(record.service)), h('td', {class: 'wrap mono most'}, anyText(record.body)),
        h('td', {},
          record.traceId && record.traceId !== shown ?
              h('a', {href: `#/trace/${record.traceId}`, onclick: (event) => event.stopPropagation()}, 'trace') :
              '')),
      more
    ];
  });
  return table([['Time'], ['Severity'], ['Service'], ['Body'], ['']], rows, 'No logs match.');
}

async function logs({parameters}) {
  const [names, answer] = await Promise.all([serviceNames(), ask('api/logs', {limit: 200, ...parameters})]);
  const list = flattenLogs(answer.json);
  return [
    h('div', {class: 'bar'}, servicePicker(names, parameters.service),
      h('label', {}, 'Severity',
        h('select', {onchange: (event) => change({severity: event.target.value})},
          SEVERITIES.map(
              ([value, name]) =>
                  h('option', {value, ...(value === (parameters.severity || '') ? {selected: ''} : {})}, name)))),
      field('Contains', 'text', parameters.text, {type: 'search', size: 24}),
      field('Trace', 'trace_id', parameters.trace_id, {size: 34, class: 'mono'}),
      h('span', {class: 'soft'}, `${list.length}${answer.complete ? '' : ' newest'} records`)),
    logTable(list)
  ];
}

// --- Metrics ---------------------------------------------------------------------------------------------------------

async function metrics({parameters}) {
  const names = (await ask('api/metrics')).json.metrics;
  const chosen = names.find((metric) => metric.name === parameters.name) || names[0];
  const part = (parameters.find || '').toLowerCase();
  const list =
      names.filter((metric) => metric.name.toLowerCase().includes(part))
          .map(
              (metric) => h(
                  'a',
                  {href: link('metrics', {...parameters, name: metric.name}), class: metric === chosen ? 'here' : null},
                  metric.name,
                  h('div', {class: 'soft'},
                    [metric.type, metric.unit, `${metric.series} series`].filter(Boolean).join(' · '))));
  if (!chosen) return [h('div', {class: 'card empty'}, 'No metrics yet.')];
  let answer = {json: {}};
  try {
    answer = await ask('api/metrics', {name: chosen.name, service: parameters.service});
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
  }
  const series = seriesOf(answer.json).sort((a, b) => lastValue(b) - lastValue(a));
  const what = series.length ? series[0].what : '';
  return [h(
      'div', {class: 'split'},
      h('div', {}, h('div', {class: 'bar'}, field('Find', 'find', parameters.find, {type: 'search'})),
        h('div', {class: 'card list'}, list)),
      h('div', {}, h('h1', {}, chosen.name),
        h('p', {class: 'sub'}, [chosen.description, chosen.type, chosen.unit, what].filter(Boolean).join(' · ')),
        h('div', {class: 'bar'}, servicePicker(chosen.services, parameters.service),
          h('span', {class: 'soft'}, series.length > 12 ? `12 of ${series.length} series` : '')),
        h('div', {class: 'card'}, chart(series.slice(0, 12)))))];
}

// What is drawn of a series: values as they are; of what grows, the rate; of histograms and summaries, the mean of each
// interval.
function seriesOf(request) {
  const series = [];
  for (const container of request.resourceMetrics || []) {
    const service = attribute((container.resource || {}).attributes, 'service.name');
    for (const scope of container.scopeMetrics || []) {
      for (const metric of scope.metrics || []) {
        const data =
            metric.gauge || metric.sum || metric.histogram || metric.exponentialHistogram || metric.summary || {};
        const points = (data.dataPoints || [])
                           .map((point) => ({...point, at: toMillis(nanos(point.timeUnixNano))}))
                           .sort((a, b) => a.at - b.at);
        if (points.length === 0) continue;
        const cumulative = Boolean(metric.summary) || data.aggregationTemporality === 2;
        let [what, values] = ['', points.map((point) => [point.at, Number(point.asDouble ?? point.asInt ?? 0)])];
        if (metric.sum && data.isMonotonic && cumulative) {
          what = 'per second';
          values = steps(values, (a, b) => (b[1] >= a[1] && b[0] > a[0] ? (b[1] - a[1]) * 1000 / (b[0] - a[0]) : null));
        } else if (!metric.gauge && !metric.sum) {
          what = 'mean';
          const sums = points.map((point) => [point.at, Number(point.sum ?? 0), Number(point.count ?? 0)]);
          const mean = (sum, count) => (count > 0 ? sum / count : null);
          values = cumulative ?
              steps(sums, (a, b) => mean(b[1] - a[1], b[2] - a[2])) :
              sums.map(([at, sum, count]) => [at, mean(sum, count)]).filter(([, value]) => value !== null);
        }
        series.push({service, name: attributeText(points[0].attributes), what, values});
      }
    }
  }
  return series;
}
function steps(points, value) {
  return points.slice(1).map((point, i) => [point[0], value(points[i], point)]).filter(([, found]) => found !== null);
}
function lastValue(series) {
  return series.values.length ? series.values[series.values.length - 1][1] : -Infinity;
}

// Round values between the two.
function ticks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const values = [];
  for (let at = Math.ceil(low / step); at * step <= high; ++at) values.push(at * step);
  return values;
}

function chart(series) {
  const values = series.flatMap((one) => one.values).filter(([, value]) => Number.isFinite(value));
  if (values.length === 0) return h('div', {class: 'empty'}, 'Not enough points to draw yet.');
  const [width, height, left, right, top, bottom] = [1000, 320, 64, 16, 14, 26];
  const times = values.map(([time]) => time);
  const first = times.reduce((a, b) => Math.min(a, b));
  const last = times.reduce((a, b) => Math.max(a, b));
  const low = Math.min(0, values.reduce((least, [, value]) => Math.min(least, value), Infinity));
  const high = values.reduce((most, [, value]) => Math.max(most, value), -Infinity);
  const range = high > low ? high - low : 1;
  const x = (time) => left + (width - left - right) * (last > first ? (time - first) / (last - first) : 0.5);
  const y = (value) => height - bottom - (height - top - bottom) * (value - low) / range;
  const lines = series.map((one, index) => {
    const points = one.values.filter(([, value]) => Number.isFinite(value));
    const hue = shade(index);
    const path =
        points.map(([time, value], i) => `${i ? 'L' : 'M'}${x(time).toFixed(1)} ${y(value).toFixed(1)}`).join('');
    return h(
        'g', {}, h('path', {d: path, fill: 'none', stroke: hue, 'stroke-width': 2, 'stroke-linejoin': 'round'}),
        points.map(
            ([time, value]) =>
                h('circle', {cx: x(time), cy: y(value), r: points.length > 60 ? 1.5 : 3, fill: hue},
                  h('title', {},
                    `${one.service} ${one.name}\n${clock(BigInt(Math.round(time)) * 1000000n)}: ${number(value)}`))));
  });
  return h(
      'div', {},
      h('div', {class: 'pad'},
        h('svg', {class: 'plot', viewBox: `0 0 ${width} ${height}`},
          ticks(low, low + range)
              .map(
                  (value) =>
                      [h('line', {class: 'axis', x1: left, x2: width - right, y1: y(value), y2: y(value)}),
                       h('text', {x: left - 8, y: y(value) + 4, 'text-anchor': 'end'}, number(value))]),
          h('text', {x: left, y: height - 6}, clock(BigInt(Math.round(first)) * 1000000n)),
          h('text', {x: width - right, y: height - 6, 'text-anchor': 'end'},
            clock(BigInt(Math.round(last)) * 1000000n)),
          lines)),
      h('div', {class: 'legend'},
        series.map(
            (one, index) =>
                h('div', {}, h('span', {class: 'dot', style: {background: shade(index)}}),
                  h('span', {class: 'wrap'}, one.service, ' ', h('span', {class: 'soft mono'}, one.name)),
                  h('b', {class: 'num'}, one.values.length ? number(lastValue(one)) : '–')))));
}

// --- Services --------------------------------------------------------------------------------------------------------

async function services() {
  const list = (await ask('api/services')).json.services;
  const rows = list.map((service) => {
    const share = service.spans ? 100 * service.errors / service.spans : 0;
    return h(
        'tr', {}, h('td', {}, chip(service.name)), h('td', {class: 'num'}, service.spans.toLocaleString()),
        h('td', {class: 'num'},
          service.errors ? h('span', {class: share >= 5 ? 'badge bad' : 'badge warn'},
                             `${service.errors.toLocaleString()} · ${share.toFixed(1)} %`) :
                           h('span', {class: 'soft'}, '0')),
        h('td', {class: 'time'}, ago(nanos(service.lastSeenUnixNano))),
        h('td', {}, h('a', {href: link('traces', {service: service.name})}, 'traces'), ' · ',
          h('a', {href: link('traces', {service: service.name, errors: 'true'})}, 'errors'), ' · ',
          h('a', {href: link('logs', {service: service.name})}, 'logs')));
  });
  return [table(
      [['Service'], ['Spans', 'num'], ['Errors', 'num'], ['Last seen'], ['']], rows,
      'Nothing yet. Send OTLP to this gateway and its services appear here.')];
}

// --- The page --------------------------------------------------------------------------------------------------------

const PAGES = {
  traces,
  trace,
  logs,
  metrics,
  services
};
const REFRESH_MS = 5000;
let turn = 0;
let timer;

function show(children) {
  const scrolled = (document.querySelector('.list') || {}).scrollTop || 0;
  view.replaceChildren(...children.filter(Boolean));
  const list = document.querySelector('.list');
  if (list) list.scrollTop = scrolled;
}

async function render() {
  const mine = ++turn;
  clearTimeout(timer);
  const now = here();
  const page = PAGES[now.page] ? now.page : 'traces';
  for (const anchor of document.querySelectorAll('nav a')) {
    anchor.classList.toggle('here', anchor.getAttribute('href') === `#/${page === 'trace' ? 'traces' : page}`);
  }
  try {
    const shown = await PAGES[page](now);
    if (mine !== turn) return;
    show(shown);
    status.textContent = page === 'trace' ? '' : `as of ${new Date().toTimeString().slice(0, 8)}`;
    status.className = '';
  } catch (error) {
    if (mine !== turn) return;
    if (error instanceof Missing)
      show([h('div', {class: 'card empty'}, 'Not here: never received, or forgotten meanwhile.')]);
    status.textContent = error.message;
    status.className = 'bad';
  }
  // What somebody is typing into or has opened is left alone.
  timer = setTimeout(refresh, REFRESH_MS);
}
function refresh() {
  const busy = here().page === 'trace' || document.hidden || view.contains(document.activeElement) ||
      document.querySelector('.more:not([hidden])');
  if (busy)
    timer = setTimeout(refresh, REFRESH_MS);
  else
    render();
}
window.addEventListener('hashchange', render);
// Services get their colours in the order of their names, so that they are the same the next time.
serviceNames().then((names) => names.forEach(colour)).catch(() => {}).then(render);
