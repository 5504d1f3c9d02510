# The project's build vocabulary: tributary_library, tributary_program, tributary_test, tributary_script_test,
# tributary_fuzzer, tributary_benchmark, tributary_bpf.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(Protobuf REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(simdjson REQUIRED)
find_package(CURL REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(LIBDEFLATE REQUIRED IMPORTED_TARGET libdeflate)
pkg_check_modules(CARES REQUIRED IMPORTED_TARGET libcares)
pkg_check_modules(URING REQUIRED IMPORTED_TARGET liburing)
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(GRPCPP REQUIRED IMPORTED_TARGET grpc++)

# Flags of every target of this project (and of none it imports).
add_library(tributary_flags INTERFACE)
target_include_directories(tributary_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(tributary_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers
  $<$<CONFIG:Debug>:-Og> -fno-omit-frame-pointer)
if(TRIBUTARY_SANITIZE)
  target_compile_options(tributary_flags INTERFACE -fsanitize=${TRIBUTARY_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(tributary_flags INTERFACE -fsanitize=${TRIBUTARY_SANITIZE})
endif()
if(TRIBUTARY_FUZZ)
  target_compile_options(tributary_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# What `ctest -L unit` and `ctest -L interop` run, and every libFuzzer program, so that a sanitizer build need not build more.
add_custom_target(unit_tests)
add_custom_target(interop_tests)
add_custom_target(fuzzers)

# tributary_library(NAME SOURCES a.cc ... LINK lib ...): a room. LINK names the rooms and libraries it may use.
function(tributary_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_library(tributary_${name} STATIC ${arg_SOURCES})
  target_link_libraries(tributary_${name} PUBLIC tributary_flags ${arg_LINK})
endfunction()

# tributary_program(NAME SOURCES ... LINK ...): an executable, in bin/ under that very name.
function(tributary_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE tributary_flags ${arg_LINK})
endfunction()

# tributary_test(NAME SOURCES ... LINK ...): a GoogleTest program and one ctest entry labelled "unit", or "interop" when a
# peer on gRPC C++ is in it, whose threads the thread sanitizer cannot follow.
function(tributary_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE tributary_flags ${arg_LINK} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  set(label unit)
  if(tributary_proto_grpc IN_LIST arg_LINK)
    set(label interop)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 600)
  add_dependencies(${label}_tests ${name})
endfunction()

# tributary_script_test(NAME x.py LABEL unit|e2e): a Python script that is a test: exit 0 passes, 77 skips. A unit script needs
# nothing but the sources; an e2e script runs alone, in the virtual environment of tests/e2e/requirements.txt
# (`./run test` makes it), on the programs in TRIBUTARY_BIN.
function(tributary_script_test name script)
  cmake_parse_arguments(arg "" "LABEL" "" ${ARGN})
  set(python ${Python3_EXECUTABLE})
  if(arg_LABEL STREQUAL e2e)
    set(python ${PROJECT_SOURCE_DIR}/build/venv/bin/python)
  endif()
  add_test(NAME ${name} COMMAND ${python} ${CMAKE_CURRENT_SOURCE_DIR}/${script})
  set_tests_properties(${name} PROPERTIES LABELS ${arg_LABEL} TIMEOUT 600 SKIP_RETURN_CODE 77
    ENVIRONMENT "TRIBUTARY_BIN=${CMAKE_BINARY_DIR}/bin;PYTHONDONTWRITEBYTECODE=1")
  if(arg_LABEL STREQUAL e2e)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()

# tributary_fuzzer(NAME SOURCES x_fuzzer.cc CORPUS dir LINK ...): with TRIBUTARY_FUZZ a libFuzzer program; in every
# other build the same entry point with a main() that replays the corpus, as an ordinary unit test.
function(tributary_fuzzer name)
  cmake_parse_arguments(arg "" "CORPUS" "SOURCES;LINK" ${ARGN})
  if(TRIBUTARY_FUZZ)
    add_executable(${name} ${arg_SOURCES})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers ${name})
    # `./run fuzz` reads where the corpus is.
    file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/fuzz/${name}.corpus CONTENT ${arg_CORPUS})
  else()
    add_executable(${name} ${arg_SOURCES} ${PROJECT_SOURCE_DIR}/tests/replay_main.cc)
    add_test(NAME ${name}_corpus COMMAND ${name} ${arg_CORPUS})
    set_tests_properties(${name}_corpus PROPERTIES LABELS unit TIMEOUT 600)
    add_dependencies(unit_tests ${name})
  endif()
  target_link_libraries(${name} PRIVATE tributary_flags ${arg_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
endfunction()

# tributary_benchmark(NAME SOURCES ... LINK ...): a Google Benchmark program in bench/.
function(tributary_benchmark name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE tributary_flags ${arg_LINK} benchmark::benchmark_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
endfunction()

# tributary_bpf(NAME HEADERS a.h ...): compiles NAME.bpf.c for the kernel and makes the target tributary_bpf_NAME, which gives
# C++ the header "bpf/NAME.skel.h" and libbpf. The kernel that runs is found at load time (CO-RE): nothing of the build
# machine's gets in.
find_program(TRIBUTARY_BPF_CLANG NAMES clang-19 clang REQUIRED)
find_program(TRIBUTARY_BPFTOOL bpftool HINTS /usr/sbin REQUIRED)
pkg_check_modules(LIBBPF REQUIRED IMPORTED_TARGET libbpf)
function(tributary_bpf name)
  cmake_parse_arguments(arg "" "" "HEADERS" ${ARGN})
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(skeleton ${CMAKE_CURRENT_BINARY_DIR}/${name}.skel.h)
  # The second -I of the system is for asm/types.h, which a foreign target does not look for. `gen object` leaves the debug
  # information out, all but BTF.
  add_custom_command(OUTPUT ${skeleton}
    COMMAND ${TRIBUTARY_BPF_CLANG} -g -O2 -mcpu=v3 -Wall -Wextra -Werror -target bpf
      -I ${PROJECT_SOURCE_DIR} -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
      -c ${CMAKE_CURRENT_SOURCE_DIR}/${name}.bpf.c -o ${object}.debug
    COMMAND ${TRIBUTARY_BPFTOOL} gen object ${object} ${object}.debug
    COMMAND ${TRIBUTARY_BPFTOOL} gen skeleton ${object} name ${name}_bpf > ${skeleton}
    DEPENDS ${name}.bpf.c ${arg_HEADERS} VERBATIM)
  add_custom_target(tributary_bpf_${name}_skeleton DEPENDS ${skeleton})
  add_library(tributary_bpf_${name} INTERFACE)
  add_dependencies(tributary_bpf_${name} tributary_bpf_${name}_skeleton)
  target_include_directories(tributary_bpf_${name} SYSTEM INTERFACE ${PROJECT_BINARY_DIR})
  target_link_libraries(tributary_bpf_${name} INTERFACE PkgConfig::LIBBPF)
endfunction()
