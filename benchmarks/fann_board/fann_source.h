/* All of FANN, of whose source no warnings are reported. */

#pragma GCC system_header
#include "floatfann.c"
