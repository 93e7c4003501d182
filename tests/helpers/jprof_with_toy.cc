#include "jprof_toy_runtimes.h"
#include "profiler/cli/command_line.h"

int main(int argc, char** argv) {
  return jprof::CommandLineMain(argc, argv, jprof::ToyRuntimes());
}
