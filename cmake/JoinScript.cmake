# Run by jprof_join(): writes OUTPUT, which is FIRST, the files in INPUTS, LAST.
set(text "${FIRST}\n")
foreach(input ${INPUTS})
  file(READ ${input} part)
  string(APPEND text "${part}")
endforeach()
file(WRITE ${OUTPUT} "${text}${LAST}\n")
