// A small service to profile: renders pages, answers searches and compresses reports for a client
// that lives in the same process. Speaks on loopback only; ends after the seconds given (default 60).
'use strict';
const http = require('http');
const zlib = require('zlib');

const articles = Array.from({ length: 2000 }, (_, i) => ({
  id: i,
  title: `Article ${i}`,
  words: Array.from({ length: 40 }, (_, j) => `word${(i * 31 + j * 17) % 997}`),
}));

function escapeHtml(text) {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

function renderArticle(article) {
  return `<article><h2>${escapeHtml(article.title)}</h2><p>${article.words.map(escapeHtml).join(' ')}</p></article>`;
}

function renderPage(first) {
  return articles.slice(first, first + 60).map(renderArticle).join('\n');
}

class SearchIndex {
  constructor(documents) {
    this.documents = documents;
  }
  score(document, terms) {
    let hits = 0;
    for (const word of document.words) for (const term of terms) if (word.endsWith(term)) hits++;
    return hits;
  }
  search(terms) {
    return this.documents
      .map((document) => ({ id: document.id, score: this.score(document, terms) }))
      .filter((hit) => hit.score > 0)
      .sort((a, b) => b.score - a.score || a.id - b.id)
      .slice(0, 10);
  }
}

const index = new SearchIndex(articles);

function compressReport(first) {
  return zlib.gzipSync(JSON.stringify(articles.slice(first, first + 200)));
}

const routes = {
  '/page': (n) => renderPage(n),
  '/search': (n) => JSON.stringify(index.search([String(n % 10), String(n % 7)])),
  '/report': (n) => compressReport(n),
};

const server = http.createServer((request, response) => {
  const [path, number] = request.url.split('?');
  response.end(routes[path](Number(number)));
});

async function get(port, path) {
  return new Promise((resolve, reject) => {
    http
      .get({ port, host: '127.0.0.1', path }, (response) => {
        response.resume();
        response.on('end', resolve);
      })
      .on('error', reject);
  });
}

async function driveLoad(port, until) {
  for (let n = 0; Date.now() < until; n++) {
    const path = Object.keys(routes)[n % 3];
    await get(port, `${path}?${(n * 37) % 1800}`);
  }
}

server.listen(0, '127.0.0.1', async () => {
  const seconds = Number(process.argv[2] || 60);
  process.stdout.write('ready\n');
  await driveLoad(server.address().port, Date.now() + seconds * 1000);
  server.close();
});
