// swift-tools-version: 6.2
import PackageDescription

// Answers questions about access, one on each line, for tests against other implementations.
let package = Package(
    name: "differential",
    dependencies: [.package(name: "guise", path: "../..")],
    targets: [
        .executableTarget(
            name: "differ",
            dependencies: [.product(name: "AccessControl", package: "guise")])
    ],
    swiftLanguageModes: [.v6]
)
