/* A program that a user may give any name: it waits when it is started as a daemon, and when it is asked something it
 * writes beside itself as whom it was run. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "dump") == 0 || strcmp(argv[i], "--validate") == 0) {
            char place[PATH_MAX] = "";
            ssize_t length = readlink("/proc/self/exe", place, sizeof place - 8);
            if (length < 0)
                return 1;
            strcpy(place + length, ".ran");
            FILE *record = fopen(place, "a");
            if (record) {
                fprintf(record, "%d %s\n", (int)geteuid(), argv[i]);
                fclose(record);
            }
            return 0;
        }
    }
    for (;;)
        pause();
}
