// What the kernel tells of a local (AF_UNIX) socket, by sock_diag(7).
#pragma once

#include <cstdint>
#include <optional>

namespace jprof {

struct UnixSocket {
  uint32_t peer = 0;  // inode of the other end; 0: none
  bool listening = false;
  // Of a listening one, connections that wait to be accepted, and how many may; else bytes that it
  // has not read, and bytes that it has sent and the peer has not read.
  uint32_t receive_queue = 0;
  uint32_t send_queue = 0;
};

// nullopt: there is none of this inode in our own network namespace, or the kernel does not tell.
std::optional<UnixSocket> AskUnixSocket(uint32_t inode);

}  // namespace jprof
