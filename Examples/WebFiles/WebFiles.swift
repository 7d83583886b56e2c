// Serves and takes files over HTTP, on a Unix socket, as whoever asks. There is no access check in here, and none is
// missing.
//
//   guise run files -- guise-example-web /run/web.sock /srv/files
//   curl --unix-socket /run/web.sock http://localhost/whoami
//   curl --unix-socket /run/web.sock http://localhost/files/plan
//   curl --unix-socket /run/web.sock -T plan http://localhost/files/plan

import Foundation

#if Hummingbird
    import Guise
    import GuiseHummingbird
    import Hummingbird
    import SystemPackage

    @main
    struct WebFiles {
        static func main() async {
            guard CommandLine.arguments.count == 3 else {
                complain("usage: guise-example-web SOCKET DIRECTORY")
                exit(64)
            }
            let (socket, files) = (CommandLine.arguments[1], CommandLine.arguments[2])
            do {
                try Authority.attach()
                let router = Router(context: BasicClientRequestContext.self)
                // What is behind it runs as the client of the request.
                router.add(middleware: ImpersonationMiddleware())
                router.get("whoami") { (_, context) in
                    let user = try context.client?.clientToken().user
                    return "\(user?.name ?? "unknown") \(user?.sid.description ?? "")\n"
                }
                router.get("files/**") { (_, context) in
                    let file = try OpenFile(try path(in: files, context), .readOnly)
                    return Response(status: .ok, body: file.body)
                }
                router.put("files/**") { (request, context) in
                    let file = try OpenFile(try path(in: files, context), .writeOnly, [.create, .truncate])
                    for try await part in request.body { try file.write(part) }
                    return HTTPResponse.Status.noContent
                }
                let application = Application(
                    router: router, server: .capturing(),
                    configuration: .init(address: .unixDomainSocket(path: socket)),
                    onServerRunning: { _ in
                        // Everybody may connect: who may do what is decided for each file.
                        chmod(socket, 0o666)
                        complain("serving at \(socket) as process \(getpid())")
                    })
                try await application.runService()
            } catch {
                complain("\(error)")
                exit(1)
            }
        }

        static func path(in directory: String, _ context: some RequestContext) throws -> FilePath {
            let parts = context.parameters.getCatchAll().map { $0.removingPercentEncoding ?? "" }
            guard !parts.isEmpty, parts.allSatisfy({ !["", ".", ".."].contains($0) && !$0.contains("/") })
            else {
                throw HTTPError(.badRequest)
            }
            return FilePath(directory).appending(parts.map { FilePath.Component(stringLiteral: $0) })
        }
    }

    /// A file that the client could open. What can be done with it was decided then.
    final class OpenFile: Sendable {
        private let descriptor: FileDescriptor
        private let size: Int

        /// - Throws: what a browser is to be told.
        init(
            _ path: FilePath, _ mode: FileDescriptor.AccessMode, _ options: FileDescriptor.OpenOptions = []
        ) throws {
            do {
                // A FIFO would wait for its other end.
                descriptor = try FileDescriptor.open(
                    path, mode, options: options.union([.nonBlocking, .closeOnExec]),
                    permissions: [.ownerReadWrite, .groupRead, .otherRead])
            } catch Errno.permissionDenied, Errno.notPermitted {
                throw HTTPError(.forbidden)
            } catch Errno.noSuchFileOrDirectory, Errno.notDirectory, Errno.isDirectory {
                throw HTTPError(.notFound)
            }
            var status = stat()
            guard fstat(descriptor.rawValue, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                try? descriptor.close()
                throw HTTPError(.notFound)
            }
            size = Int(status.st_size)
        }

        deinit { try? descriptor.close() }

        func write(_ part: ByteBuffer) throws {
            _ = try part.withUnsafeReadableBytes { try descriptor.writeAll($0) }
        }

        /// The file in parts of 64 KiB.
        var body: ResponseBody {
            ResponseBody(contentLength: size) { [self] writer in
                var left = size
                while left > 0 {
                    var part = ByteBuffer()
                    let count = try part.writeWithUnsafeMutableBytes(minimumWritableBytes: min(left, 65536)) {
                        try descriptor.read(into: UnsafeMutableRawBufferPointer(rebasing: $0.prefix(left)))
                    }
                    // It became shorter, and the length has been promised.
                    guard count > 0 else { throw Errno.ioError }
                    left -= count
                    try await writer.write(part)
                }
                try await writer.finish(nil)
            }
        }
    }
#else
    @main
    struct WebFiles {
        static func main() {
            complain("built without Hummingbird; build with: swift build --traits Hummingbird")
            exit(64)
        }
    }
#endif

func complain(_ line: String) { FileHandle.standardError.write(Data("web: \(line)\n".utf8)) }
