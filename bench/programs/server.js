// A web server renders pages with React; its clients are in the same process.
//   usage: server.js SECONDS; starts at the first byte of its input
'use strict';
process.env.NODE_ENV = 'production';
const http = require('http');
const { createElement: h, createContext, useContext, useMemo } = require('react');
const { renderToString } = require('react-dom/server');

const Theme = createContext('light');

function Money({ cents }) {
  return h('span', { className: 'money' }, (cents / 100).toFixed(2));
}
function Stars({ count }) {
  return h('span', { title: `${count} of 5` }, '*'.repeat(count));
}
function Product({ product }) {
  const theme = useContext(Theme);
  return h('li', { className: `product ${theme}`, 'data-id': product.id },
    h('h2', null, product.name), h(Money, { cents: product.cents }), h(Stars, { count: product.stars }),
    h('p', null, product.text), product.tags.map((tag) => h('a', { key: tag, href: `/tag/${encodeURIComponent(tag)}` }, tag)));
}
function List({ products, query }) {
  const found = useMemo(() => products.filter((p) => p.name.includes(query)).sort((a, b) => a.cents - b.cents), [products, query]);
  return h('ul', null, found.map((product) => h(Product, { key: product.id, product })));
}
function Page({ products, query }) {
  return h(Theme.Provider, { value: query === '' ? 'light' : 'dark' },
    h('html', null, h('head', null, h('title', null, `Shop & <${query}>`)),
      h('body', null, h('form', null, h('input', { defaultValue: query })), h(List, { products, query }))));
}

const products = Array.from({ length: 150 }, (_, id) => ({
  id, name: `Thing ${(id * 7919) % 1000}`, cents: (id * 104729) % 100000, stars: id % 6,
  text: 'Good & cheap <really>, '.repeat(3 + (id % 5)), tags: [`tag ${id % 9}`, `tag ${10 + (id % 4)}`],
}));

const server = http.createServer((request, response) => {
  const query = new URL(request.url, 'http://localhost').searchParams.get('q') || '';
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.end(`<!doctype html>${renderToString(h(Page, { products, query }))}`);
});

function client(port, agent, n, end) {
  if (Date.now() >= end) process.exit(0);
  http.get({ port, agent, path: `/?q=${n % 3 === 0 ? '' : n % 10}` }, (response) => {
    response.resume();
    response.on('end', () => client(port, agent, n + 1, end));
  });
}

server.listen(0, '127.0.0.1', () => {
  process.stdin.once('data', () => {
    const agent = new http.Agent({ keepAlive: true });
    const end = Date.now() + 1000 * Number(process.argv[2]);
    for (let i = 0; i < 4; i++) client(server.address().port, agent, i, end);
  });
  process.stdout.write('ready\n');
});
