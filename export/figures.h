// Numbers as the pictures write them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace jprof {

// `part` of `whole`, rounded, where `whole` is `to`; 0 where there is no whole.
int64_t Scale(int64_t part, int64_t whole, int64_t to);

std::string Grouped(int64_t n);                           // "1,234,567"
std::string Percent(int64_t part, int64_t whole);         // "5.67%"
std::string ShortPercent(int64_t part, int64_t whole);    // "5.7%"
std::string SignedPercent(int64_t hundredths);            // "+5.67%", of hundredths of a percent
std::string MoreComments(size_t count);                   // "12 more comments"

}  // namespace jprof
