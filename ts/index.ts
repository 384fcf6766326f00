export * from './contracts/errors.ts'
