# The static libraries that scripts/build-aws-lc has made; scripts/setup calls it.
set(AWS_LC_DIR "${CMAKE_SOURCE_DIR}/build/third_party/aws-lc")
if(NOT EXISTS "${AWS_LC_DIR}/stamp")
  message(FATAL_ERROR "AWS-LC is not built: run scripts/setup (or scripts/build-aws-lc) first")
endif()
add_library(aws_lc::crypto STATIC IMPORTED GLOBAL)
set_target_properties(aws_lc::crypto PROPERTIES
  IMPORTED_LOCATION "${AWS_LC_DIR}/lib/libcrypto.a"
  INTERFACE_INCLUDE_DIRECTORIES "${AWS_LC_DIR}/include"
  INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS}")
add_library(aws_lc::ssl STATIC IMPORTED GLOBAL)
set_target_properties(aws_lc::ssl PROPERTIES
  IMPORTED_LOCATION "${AWS_LC_DIR}/lib/libssl.a"
  INTERFACE_LINK_LIBRARIES aws_lc::crypto)
