// Spends its time in libraries that keep no frame pointers: libstdc++, libc, libz and libcrypto. So
// does its own code, when it is built like that. A signal handler runs a part of the time.
#include <openssl/evp.h>
#include <openssl/ec.h>
#include <signal.h>
#include <sys/time.h>
#include <zlib.h>

#include <algorithm>
#include <iomanip>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "common.h"

namespace {

volatile unsigned sink;

void Use(unsigned n) { sink = sink + n; }

NOINLINE std::string Format(unsigned n) {
  std::ostringstream out;
  for (unsigned i = 0; i < 40; ++i) out << std::setw(8) << n * i << ' ' << n / 3.0 << '\n';
  return out.str();
}

NOINLINE void Sort(unsigned n) {
  std::vector<std::string> words;
  for (unsigned i = 0; i < 300; ++i) words.push_back(std::to_string((i * 7919 + n) % 1009));
  std::sort(words.begin(), words.end());
  std::map<std::string, unsigned> counts;
  for (const std::string& word : words) ++counts[word];
  Use(static_cast<unsigned>(counts.size()));
}

NOINLINE void Compress(const std::string& text) {
  std::vector<Bytef> out(compressBound(text.size()));
  uLongf size = out.size();
  compress2(out.data(), &size, reinterpret_cast<const Bytef*>(text.data()), text.size(), 6);
  Use(static_cast<unsigned>(size));
}

NOINLINE void Hash(const std::string& text, const EVP_MD* md) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  for (int i = 0; i < 8; ++i) EVP_Digest(text.data(), text.size(), digest, &size, md, nullptr);
  Use(digest[0]);
}

NOINLINE void Encrypt(const std::string& text, const EVP_CIPHER* cipher) {
  const unsigned char key[32] = {1}, iv[16] = {2};
  EVP_CIPHER_CTX* ctx = EVP_CIPHER_CTX_new();
  std::vector<unsigned char> out(text.size() + 64);
  int size = 0;
  EVP_EncryptInit_ex(ctx, cipher, nullptr, key, iv);
  for (int i = 0; i < 8; ++i) {
    EVP_EncryptUpdate(ctx, out.data(), &size, reinterpret_cast<const unsigned char*>(text.data()),
                      static_cast<int>(text.size()));
  }
  EVP_CIPHER_CTX_free(ctx);
  Use(out[0]);
}

NOINLINE void Sign(EVP_PKEY* key, const std::string& text) {
  EVP_MD_CTX* ctx = EVP_MD_CTX_new();
  unsigned char signature[512];
  size_t size = sizeof(signature);
  EVP_DigestSignInit(ctx, nullptr, EVP_sha256(), nullptr, key);
  EVP_DigestSign(ctx, signature, &size, reinterpret_cast<const unsigned char*>(text.data()),
                 text.size());
  EVP_MD_CTX_free(ctx);
  Use(signature[0]);
}

NOINLINE void Match(const std::string& text) {
  static const std::regex pattern("([0-9]+) +([0-9.]+)\n");
  Use(static_cast<unsigned>(std::distance(
      std::sregex_iterator(text.begin(), text.end(), pattern), std::sregex_iterator())));
}

void OnTimer(int) {
  for (unsigned i = 0; i < 20000; ++i) Use(i);
}

[[noreturn]] void Work(bool with_key) {
  EVP_PKEY* key = with_key ? EVP_EC_gen("P-256") : nullptr;
  for (unsigned n = 0;; ++n) {
    const std::string text = Format(n);
    Sort(n);
    Compress(text);
    Hash(text, EVP_sha256());
    Hash(text, EVP_md5());
    Encrypt(text, EVP_aes_256_gcm());
    Encrypt(text, EVP_chacha20_poly1305());
    if (key != nullptr && n % 8 == 0) Sign(key, text);
    Match(text);
  }
}

}  // namespace

int main() {
  struct sigaction action = {};
  action.sa_handler = OnTimer;
  action.sa_flags = SA_RESTART;
  sigaction(SIGPROF, &action, nullptr);
  const itimerval timer = {{0, 5000}, {0, 5000}};
  setitimer(ITIMER_PROF, &timer, nullptr);
  say_ready();
  std::thread thread(Work, false);
  Work(true);
}
