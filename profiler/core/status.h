// Status helpers: errors carry an errno's text and what was being done to what.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace jprof {

// "context: strerror(err)", with a code chosen from the errno (ENOENT, ESRCH: NotFound; EPERM,
// EACCES: PermissionDenied; others: Unavailable, ResourceExhausted, Unknown as abseil maps them).
// Of EMFILE the limit is told, with a hint.
absl::Status ErrnoStatus(int err, absl::string_view context);

// The same status with "context: " before its message; OK stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

// A hint is the least that would fix the error. It rides on the status; the command line prints it
// behind the message, on the same line.
absl::Status WithHint(absl::Status status, absl::string_view hint);
std::string HintOf(const absl::Status& status);  // "" when there is none

}  // namespace jprof

#define JPROF_RETURN_IF_ERROR(expr)                \
  do {                                             \
    absl::Status jprof_status_ = (expr);           \
    if (!jprof_status_.ok()) return jprof_status_; \
  } while (false)

#define JPROF_CONCAT_INNER_(a, b) a##b
#define JPROF_CONCAT_(a, b) JPROF_CONCAT_INNER_(a, b)
#define JPROF_ASSIGN_OR_RETURN(lhs, expr) \
  JPROF_ASSIGN_OR_RETURN_IMPL_(JPROF_CONCAT_(jprof_statusor_, __LINE__), lhs, expr)
#define JPROF_ASSIGN_OR_RETURN_IMPL_(temp, lhs, expr) \
  auto temp = (expr);                                 \
  if (!temp.ok()) return std::move(temp).status();    \
  lhs = std::move(temp).value()
