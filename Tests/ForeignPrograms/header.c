/* The header alone, in C and in C++, and what a program may rely on when it is compiled. */
#include <guise.h>
#include <guise.h>

#if GUISE_API_VERSION != 1
#error "this program is for version 1"
#endif

struct guise_mapping mapping = GUISE_FILE_MAPPING;

int main(void) { return guise_api_version() == GUISE_API_VERSION && guise_error_message() != 0 ? 0 : 1; }
