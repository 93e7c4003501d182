/* Burns CPU in a library that is built as the program of untold.c. */
#include "common.h"

void repeat(unsigned long rounds);

int main(void) {
  say_ready();
  repeat(200000);
  return 0;
}
