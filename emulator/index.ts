export { type Emulator, type EmulatorOptions, startEmulator } from './pubsub/server.ts';
