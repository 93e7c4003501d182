#include "profiler/stop/unix_socket.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>

#include <cstring>

#include "profiler/core/unique_fd.h"

namespace jprof {
namespace {

constexpr uint8_t kListening = 10;  // TCP_LISTEN, which local sockets use as well

template <typename T>
bool ReadAttribute(const char* data, size_t bytes, T& out) {
  if (bytes < sizeof(out)) return false;
  std::memcpy(&out, data, sizeof(out));
  return true;
}

}  // namespace

std::optional<UnixSocket> AskUnixSocket(uint32_t inode) {
  const UniqueFd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!netlink.valid()) return std::nullopt;
  struct {
    nlmsghdr header;
    unix_diag_req request;
  } ask = {};
  ask.header = {.nlmsg_len = sizeof(ask), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                .nlmsg_flags = NLM_F_REQUEST};
  ask.request.sdiag_family = AF_UNIX;
  ask.request.udiag_states = ~0U;
  ask.request.udiag_ino = inode;
  ask.request.udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN;
  ask.request.udiag_cookie[0] = ask.request.udiag_cookie[1] = ~0U;
  if (::send(netlink.get(), &ask, sizeof(ask), 0) != sizeof(ask)) return std::nullopt;
  alignas(nlmsghdr) char answer[4096];
  const ssize_t got = ::recv(netlink.get(), answer, sizeof(answer), 0);
  if (got < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(unix_diag_msg)))) return std::nullopt;
  const auto size = static_cast<size_t>(got);
  nlmsghdr header;
  std::memcpy(&header, answer, sizeof(header));
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY) return std::nullopt;
  unix_diag_msg message;
  std::memcpy(&message, answer + NLMSG_HDRLEN, sizeof(message));
  UnixSocket socket;
  socket.listening = message.udiag_state == kListening;
  for (size_t at = NLMSG_LENGTH(sizeof(message)); at + sizeof(nlattr) <= size;) {
    nlattr attribute;
    std::memcpy(&attribute, answer + at, sizeof(attribute));
    if (attribute.nla_len < sizeof(attribute) || attribute.nla_len > size - at) break;
    const char* data = answer + at + sizeof(attribute);
    const size_t bytes = attribute.nla_len - sizeof(attribute);
    unix_diag_rqlen queues;
    if (attribute.nla_type == UNIX_DIAG_PEER) {
      ReadAttribute(data, bytes, socket.peer);
    } else if (attribute.nla_type == UNIX_DIAG_RQLEN && ReadAttribute(data, bytes, queues)) {
      socket.receive_queue = queues.udiag_rqueue;
      socket.send_queue = queues.udiag_wqueue;
    }
    at += NLA_ALIGN(attribute.nla_len);
  }
  return socket;
}

}  // namespace jprof
