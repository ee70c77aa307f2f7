/* Resolves a name as any program does: prints its addresses, one a line, or what there is instead. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    struct addrinfo hints, *all, *one;
    char text[INET6_ADDRSTRLEN];
    int error;

    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    error = argc == 2 ? getaddrinfo(argv[1], NULL, &hints, &all) : EAI_FAIL;
    if (error) {
        puts(error == EAI_NONAME  ? "missing"
             : error == EAI_AGAIN ? "failing"
                                  : gai_strerror(error));
        return 0;
    }
    for (one = all; one; one = one->ai_next) {
        const void *address = one->ai_family == AF_INET
            ? (const void *)&((struct sockaddr_in *)one->ai_addr)->sin_addr
            : (const void *)&((struct sockaddr_in6 *)one->ai_addr)->sin6_addr;
        puts(inet_ntop(one->ai_family, address, text, sizeof text));
    }
    return 0;
}
