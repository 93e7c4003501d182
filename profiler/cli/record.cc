#include "profiler/cli/record.h"

#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "export/exporter.h"
#include "profiler/capture/priority.h"
#include "profiler/cli/checkpoint_file.h"
#include "profiler/cli/command.h"
#include "profiler/cli/command_main.h"
#include "profiler/cli/diagnostics.h"
#include "profiler/cli/explain.h"
#include "profiler/cli/options.h"
#include "profiler/cli/output_file.h"
#include "profiler/cli/profile_file.h"
#include "profiler/core/status.h"
#include "profiler/pipeline/runner.h"
#include "profiler/pipeline/target_files.h"

#ifndef JPROF_VERSION
#error "the build defines JPROF_VERSION"
#endif

namespace jprof {
namespace {

// Set by the first SIGINT, SIGTERM or SIGHUP; a second one ends the program at once. timeout(1) and
// terminals may send the first one twice: what follows within 50 ms is the same wish.
std::atomic<bool> g_stop_asked{false};
std::atomic<int64_t> g_stop_asked_ns{0};
constexpr int64_t kSameWishNs = 50'000'000;
// The command that was started: signals sent to jprof alone are passed on. 0: none.
std::atomic<pid_t> g_command{0};
// The profile is written and jprof stands for the command.
std::atomic<bool> g_only_pass_on{false};

// Marks an error: exit status 3.
constexpr absl::string_view kQualityUrl = "jprof/quality";

void OnStopSignal(int number, siginfo_t* info, void*) {
  // What a terminal sends, it sends to the command as well.
  const pid_t command = g_command.load();
  if (command != 0 && info->si_code != SI_KERNEL) ::kill(command, number);
  if (g_only_pass_on.load()) return;
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t now_ns = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  if (!g_stop_asked.exchange(true)) {
    g_stop_asked_ns = now_ns;
    return;
  }
  if (now_ns - g_stop_asked_ns.load() < kSameWishNs) return;
  ::signal(number, SIG_DFL);
  ::raise(number);  // delivered when this handler returns
}

// One descriptor for each mapped file is kept, so that it can be named when its process is gone.
void RaiseDescriptorLimit() {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void InstallSignals() {
  struct sigaction action = {};
  action.sa_sigaction = OnStopSignal;
  action.sa_flags = SA_SIGINFO;
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before;
    // What the parent had ignored stays ignored: nohup, background jobs.
    if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    ::sigaction(signal, &action, nullptr);
  }
  ::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write, with a message
  ::signal(SIGXFSZ, SIG_IGN);  // and so is a file beyond ulimit -f
}

// What it will be called when it has executed.
std::string NameOf(const RecordOptions& options) {
  const std::string& path = options.command[0];
  return path.substr(path.rfind('/') + 1);
}

// A lost sample is one that is not rooted.
absl::Status CheckQuality(const Accounting& a, double min_percent) {
  auto percent = [](uint64_t part, uint64_t whole) {
    return whole == 0 ? 100.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  };
  const double rooted = percent(a.rooted, a.taken);
  const double named = percent(a.frames - a.frames_unnamed, a.frames);
  if (rooted >= min_percent && named >= min_percent) return absl::OkStatus();
  absl::Status status = WithHint(
      absl::FailedPreconditionError(absl::StrFormat(
          "%.2f %% of the samples are rooted and %.2f %% of the frames named, fewer than the %g %% "
          "of --min-quality",
          rooted, named, min_percent)),
      "--explain says why");
  status.SetPayload(kQualityUrl, absl::Cord());
  return status;
}

// Empty: the output is written in place, so there is nothing to replace.
Checkpoints::Sink SinkOf(const OutputFile& output, std::shared_ptr<CheckpointFile> checkpoints) {
  if (!output.is_regular()) return nullptr;
  return [checkpoints](const Profile& profile, const std::function<bool()>& go_on) {
    checkpoints->Write(profile, go_on);
  };
}

RecordingOptions ToRecordingOptions(const RecordOptions& options, const Command* command,
                                    int niceness) {
  return {.targets = {.pids = command == nullptr ? options.pids : std::vector{command->pid()},
                      .tid = options.tid,
                      .children = options.children || command != nullptr,
                      .cgroup = options.cgroup,
                      .comm = options.comm,
                      .command_name = command == nullptr ? "" : NameOf(options),
                      .use_helpers = options.use_helpers},
          .level = options.level,
          .frequency_hz = static_cast<uint64_t>(options.frequency),
          .max_cpu_percent = options.max_cpu_percent,
          .duration_ns = options.duration_ns,
          .tiers = options.tiers,
          .inlines = options.inlines,
          .lines = options.lines,
          .source_maps = options.source_maps,
          .async = options.async,
          .perf_map_folder = options.perf_map_folder,
          .command_line = options.command_line,
          .niceness = niceness};
}

// Until it ends by itself, or is to.
absl::StatusOr<Runner::Ended> RunRecording(const RecordOptions& options, Runner& runner,
                                           Command* command, CheckpointFile& checkpoints) {
  ProgressLine progress;
  absl::Status started;
  auto go_on = [&](const RecordingProgress& now) {
    if (absl::Status trouble = checkpoints.TakeTrouble(); !trouble.ok()) {
      progress.Clear();
      PrintWarning(absl::StrCat("not written while it is recorded: ", trouble.message()));
    }
    if (!now.news.empty()) {
      progress.Clear();
      PrintNote(now.news);
    }
    if (command != nullptr) {
      if (!command->started()) started = command->Start();
      return started.ok() && !g_stop_asked.load();  // the terminal is the command's
    }
    if (options.duration_ns == 0) {
      progress.Show(absl::StrFormat("recording: %.0f s, %d samples (Ctrl-C ends it)",
                                    now.elapsed_ns * 1e-9, now.samples));
    } else {
      progress.Show(absl::StrFormat("recording: %.0f of %.0f s, %d samples", now.elapsed_ns * 1e-9,
                                    options.duration_ns * 1e-9, now.samples));
    }
    return !g_stop_asked.load();
  };
  absl::StatusOr<Runner::Ended> ended = runner.Record(go_on);
  JPROF_RETURN_IF_ERROR(started);
  return ended;
}

// `command`: that is to be recorded, not started yet; nullptr: none.
absl::Status RecordTo(OutputFile& output, const ExportFormat& format, CheckpointFile& checkpoints,
                      const RecordOptions& options, Runner& runner, Command* command) {
  JPROF_ASSIGN_OR_RETURN(const Runner::Ended ended,
                         RunRecording(options, runner, command, checkpoints));
  ProgressLine progress;
  progress.Show("naming frames");
  auto profile = runner.Finish();
  progress.Clear();
  for (const std::string& warning : runner.Warnings()) PrintWarning(warning);
  if (!profile.ok()) return profile.status();
  if (ended == Runner::Ended::kTargetExited && command == nullptr) {
    PrintNote("the target exited; writing what was gathered");
  }
  JPROF_RETURN_IF_ERROR(format.create()->Write(*profile, output));
  JPROF_RETURN_IF_ERROR(output.Commit());
  PrintNote(runner.Verdict(*profile));
  if (options.output_is_default) PrintNote(absl::StrCat("the profile is in ", options.output));
  if (options.explain) {
    for (const std::string& line : ExplainUnnamed(*profile)) PrintNote(line);
  }
  return CheckQuality(profile->accounting, options.min_quality);
}

absl::Status Record(const RecordOptions& options, const RuntimeSet& runtimes, Command* command,
                    int niceness, std::shared_ptr<SymbolizerProcess> symbolizer) {
  const ExportFormat& format = ChooseFormat(options.output, options.format);
  JPROF_ASSIGN_OR_RETURN(std::shared_ptr<OutputFile> output, OutputFile::Open(options.output));
  JPROF_RETURN_IF_ERROR(CheckTerminal(options.output, options.format, *output));
  const auto checkpoints = std::make_shared<CheckpointFile>(output, format);
  RecordingOptions recording = ToRecordingOptions(options, command, niceness);
  recording.on_checkpoint = SinkOf(*output, checkpoints);
  recording.symbolizer = std::move(symbolizer);
  JPROF_ASSIGN_OR_RETURN(std::unique_ptr<Runner> runner, Runner::Attach(recording, runtimes));
  absl::Status status = RecordTo(*output, format, *checkpoints, options, *runner, command);
  const int64_t in_file_ns = checkpoints->duration_ns();
  if (!status.ok() && !status.GetPayload(kQualityUrl) && in_file_ns != 0) {
    PrintNote(absl::StrFormat("%s has what was sampled in the first %.1f s", options.output,
                              in_file_ns * 1e-9));
  }
  return status;
}

int StatusOfRecording(const absl::Status& status) {
  const int reported = ReportedStatus(status);
  return status.GetPayload(kQualityUrl) ? 3 : reported;
}

int RecordCommand(const RecordOptions& options, const RuntimeSet& runtimes, int niceness,
                  std::shared_ptr<SymbolizerProcess> symbolizer) {
  absl::StatusOr<Command> command = Command::Fork(options.command, niceness);
  if (!command.ok()) return ReportedStatus(command.status());
  InstallSignals();
  RaiseDescriptorLimit();
  g_command = command->pid();
  const int recorded =
      StatusOfRecording(Record(options, runtimes, &*command, niceness, std::move(symbolizer)));
  g_only_pass_on = true;
  if (!command->started()) {
    g_command = 0;
    return recorded;
  }
  command->AwaitEnd();
  g_command = 0;
  const int ended = command->Reap();
  return ended != 0 ? ended : recorded;
}

}  // namespace

int RecordMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes) {
  absl::StatusOr<RecordOptions> options = ParseRecordOptions(arguments);
  if (!options.ok()) return ReportedStatus(AsUsageError(options.status()));
  if (options->help) return PrintText(RecordHelp());
  if (options->version) return PrintText("jprof " JPROF_VERSION "\n");
  // One who made jprof wait for others shall have it so.
  const int niceness = Niceness();
  if (niceness == 0) SetNiceness(kFirstNiceness);
  // Before there are threads.
  absl::StatusOr<std::shared_ptr<SymbolizerProcess>> symbolizer = StartFileReaders();
  if (!symbolizer.ok()) return ReportedStatus(symbolizer.status());
  if (!options->command.empty()) {
    return RecordCommand(*options, runtimes, niceness, *std::move(symbolizer));
  }
  InstallSignals();
  RaiseDescriptorLimit();
  return StatusOfRecording(Record(*options, runtimes, nullptr, niceness, *std::move(symbolizer)));
}

}  // namespace jprof
